import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, types } from 'hls-parser';
import { AppError } from '../../src/errors.js';
import type { PublishedStreamOptions } from '../../src/hls/published-stream.js';
import { EncodedStream } from './support/encoded-stream.js';
import { readPlaylist } from './support/seen-playlist.js';

const open: EncodedStream[] = [];

async function start(more: Partial<PublishedStreamOptions> = {}): Promise<EncodedStream> {
  const stream = await EncodedStream.open(more);
  open.push(stream);
  return stream;
}

afterEach(async () => {
  jest.useRealTimers();
  await Promise.all(open.splice(0).map((stream) => stream.close()));
});

/** Whether a promise is settled once everything that is ready has run. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  const mark = () => {
    done = true;
  };
  promise.then(mark, mark);
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  return done;
}

const edge = (text: string) => {
  const { segments, open: filling } = readPlaylist(text);
  return [segments.at(-1)?.number, filling?.parts.length ?? 0];
};
const INVALID = { code: 'invalid_parameter' };

describe('blocking reload (RFC 8216bis 6.2.5.2)', () => {
  it('29: "defer responding to the request until the Playlist contains a Media Segment with a Media Sequence Number of M"', async () => {
    const stream = await start();
    stream.to(30);
    const waiting = stream.published.playlist({ msn: 2 });
    stream.to(49);
    expect(await settled(waiting)).toBe(false);
    stream.to(50);
    expect(edge(await waiting)).toEqual([2, 0]);
  });

  it('30: "until the Playlist contains the Partial Segment with Part Index N"', async () => {
    const stream = await start();
    stream.to(30);
    const waiting = stream.published.playlist({ msn: 2, part: 2 });
    stream.to(39);
    expect(await settled(waiting)).toBe(false);
    stream.to(40);
    expect(edge(await waiting)).toEqual([1, 3]);
  });

  it('31: "a Part Index greater than that of the final Partial Segment" is "Part Index 0 of the following Parent Segment"', async () => {
    const stream = await start();
    stream.to(45);
    const waiting = [stream.published.playlist({ msn: 2, part: 5 }), stream.published.playlist({ msn: 2, part: 9 })];
    stream.to(50);
    for (const each of waiting) expect(await settled(each)).toBe(false);
    // The segment is whole now, and the same holds.
    const late = stream.published.playlist({ msn: 2, part: 5 });
    expect(await settled(late)).toBe(false);
    stream.to(55);
    for (const each of [...waiting, late]) expect(edge(await each)).toEqual([2, 1]);
    expect(edge(await stream.published.playlist({ msn: 2, part: 5 }))).toEqual([2, 1]);
  });

  it('32: what is there already is answered at once, "even if it is no longer in the Playlist"', async () => {
    const stream = await start();
    stream.to(25 * 12 + 10);
    for (const asked of [
      { msn: 0 },
      { msn: 1 },
      { msn: 1, part: 99 },
      { msn: 12 },
      { msn: 12, part: 4 },
      { msn: 13, part: 1 },
    ]) {
      const answer = stream.published.playlist(asked);
      expect(await settled(answer)).toBe(true);
      expect(edge(await answer)).toEqual([12, 2]);
    }
  });

  it('33: "greater than the Media Sequence Number of the last Media Segment in the current Playlist plus two" is refused', async () => {
    const stream = await start();
    stream.to(25 * 3 + 5);
    await expect(stream.published.playlist({ msn: 6 })).rejects.toMatchObject({
      ...INVALID,
      message: '_HLS_msn: is too far ahead: the newest segment is 3.',
    });
    const waiting = stream.published.playlist({ msn: 5 });
    expect(await settled(waiting)).toBe(false);
    stream.to(25 * 5);
    expect(edge(await waiting)).toEqual([5, 0]);
  });

  it('34: a part that "exceeds the last Partial Segment in the current Playlist by the Advance Part Limit" is refused', async () => {
    // Parts of 200 ms: three divided by 0.2 is 15 parts. The last one is part 0 of segment 4.
    const stream = await start();
    stream.to(25 * 3 + 5);
    const waiting = stream.published.playlist({ msn: 4, part: 15 });
    expect(await settled(waiting)).toBe(false);
    for (const asked of [
      { msn: 4, part: 16 },
      { msn: 5, part: 11 },
    ]) {
      await expect(stream.published.playlist(asked)).rejects.toMatchObject({
        ...INVALID,
        message: '_HLS_part: is too far ahead of the newest part.',
      });
    }
    stream.to(25 * 4 + 5);
    expect(edge(await waiting)).toEqual([4, 1]);
  });

  it.each([
    [{ part: 1 }, '_HLS_part: comes with _HLS_msn only.'],
    [{ msn: Number.NaN }, '_HLS_msn: must be a whole number from 0.'],
    [{ msn: -1 }, '_HLS_msn: must be a whole number from 0.'],
    [{ msn: 1, part: Number.NaN }, '_HLS_part: must be a whole number from 0.'],
    [{ msn: 1, part: -1 }, '_HLS_part: must be a whole number from 0.'],
  ])('35: %j is refused: "an _HLS_part directive but no _HLS_msn directive", or no number', async (asked, message) => {
    const stream = await start();
    stream.to(30);
    await expect(stream.published.playlist(asked)).rejects.toMatchObject({ ...INVALID, message });
  });

  it('36: "after blocking for more than three Target Durations" it is 503', async () => {
    const stream = await start();
    stream.to(30);
    jest.useFakeTimers();
    const refused = expect(stream.published.playlist({ msn: 2, part: 3 })).rejects.toMatchObject({
      ...{ code: 'not_ready', status: 503, retryAfterSeconds: 1 },
      message: 'The segment that was asked for is not ready yet.',
    });
    jest.advanceTimersByTime(2999);
    expect(stream.published.waiting).toBe(1);
    jest.advanceTimersByTime(1);
    await refused;
    expect(stream.published.waiting).toBe(0);
  });

  it('38: directives, good and bad, are ignored "if the Playlist contains an EXT-X-ENDLIST tag"', async () => {
    const stream = await start();
    stream.to(25 * 9);
    stream.end();
    const plain = await stream.published.playlist({});
    expect(plain).toContain('#EXT-X-ENDLIST');
    for (const asked of [{ msn: 99 }, { part: 3 }, { msn: Number.NaN }, { skip: true }, { msn: 9, part: 0 }]) {
      expect(await stream.published.playlist(asked)).toBe(plain);
    }
  });

  it('ignores directives where it does not offer them: a talk that is fed', async () => {
    const stream = await start({ live: undefined });
    stream.to(25);
    const plain = await stream.published.playlist({});
    for (const asked of [{ msn: 99 }, { part: 3 }, { msn: Number.NaN }, { skip: true }]) {
      expect(await stream.published.playlist(asked)).toBe(plain);
    }
    expect(plain).not.toMatch(/PART|SKIP|SERVER-CONTROL|HINT/);
  });

  it('41: the end wakes every waiter, with EXT-X-ENDLIST', async () => {
    const stream = await start();
    stream.to(30);
    const waiting = [stream.published.playlist({ msn: 3 }), stream.published.playlist({ msn: 2, part: 4 })];
    const hinted = stream.published.media('part-00007.m4s');
    stream.end();
    for (const each of waiting) expect((await each).trimEnd().split('\n').at(-1)).toBe('#EXT-X-ENDLIST');
    // "The server SHOULD respond to client requests for those resources with Not Found".
    expect(await hinted).toBeUndefined();
  });

  it('wakes every waiter when it is closed or has failed', async () => {
    const closed = await start();
    const waiting = expect(closed.published.playlist({ msn: 1 })).rejects.toMatchObject({ code: 'session_not_found' });
    closed.published.close();
    await waiting;
    const failed = await start();
    const told = expect(failed.published.playlist({ msn: 1 })).rejects.toMatchObject({
      ...{ code: 'not_found', message: 'The talk ended before its first segment: The encoder is gone.' },
    });
    failed.published.end(new AppError('internal', 'The encoder is gone.'));
    await told;
  });

  it('42: a client that leaves frees its waiter', async () => {
    const stream = await start();
    stream.to(30);
    const client = new AbortController();
    const gone = { name: 'AbortError' };
    const left = [
      expect(stream.published.playlist({ msn: 2 }, client.signal)).rejects.toMatchObject(gone),
      expect(stream.published.media('part-00007.m4s', undefined, client.signal)).rejects.toMatchObject(gone),
    ];
    expect(stream.published.waiting).toBe(2);
    client.abort();
    expect(stream.published.waiting).toBe(0);
    await Promise.all(left);
  });

  it('lets no more than so many wait', async () => {
    const stream = await start();
    stream.to(30);
    const waiting = Array.from({ length: 4096 }, () => stream.published.playlist({ msn: 2 }));
    await expect(stream.published.playlist({ msn: 2 })).rejects.toMatchObject({ code: 'not_ready' });
    // Who need not wait is served all the same.
    expect(edge(await stream.published.playlist({}))).toEqual([1, 1]);
    stream.to(50);
    expect(new Set(await Promise.all(waiting)).size).toBe(1);
  });
});

describe('what a live playlist names', () => {
  it('25: a new part is listed with its own last frame and sound, and waits for neither the next one nor the disk', async () => {
    const stream = await start();
    stream.to(34);
    expect(edge(await stream.published.playlist({}))).toEqual([1, 1]);
    stream.to(35);
    const answer = stream.published.playlist({ msn: 2, part: 1 });
    expect(await settled(answer)).toBe(true);
    const part = stream.published.media('part-00007.m4s');
    expect(await settled(part)).toBe(true);
    stream.to(50);
    const segment = await stream.published.media('segment-00002.m4s');
    // Nothing has been awaited that the disk could have used.
    expect(segment).toMatchObject({ bytes: expect.any(Uint8Array) });
    expect(edge(await stream.published.playlist({}))).toEqual([2, 0]);
    await stream.store.flushed();
    const stored = await stream.published.media('segment-00002.m4s');
    expect(stored).toEqual({ path: join(stream.folder, 'stream', 'segment-00002.m4s') });
    expect(readFileSync((stored as { path: string }).path)).toEqual((segment as { bytes: Uint8Array }).bytes);
  });

  it('39: the hinted part\'s request waits, "until all bytes of that Partial Segment can be transmitted"', async () => {
    const stream = await start();
    stream.to(30);
    const [hint] = readPlaylist(await stream.published.playlist({})).hints;
    expect(hint).toEqual({ TYPE: 'PART', URI: 'part-00007.m4s' });
    const waiting = stream.published.media(hint!.URI!);
    stream.to(34);
    expect(await settled(waiting)).toBe(false);
    stream.to(35);
    const whole = await waiting;
    expect(whole).toEqual(await stream.published.media('part-00007.m4s'));
    expect(readPlaylist(await stream.published.playlist({})).open!.parts[1]!.uri).toBe('part-00007.m4s');
  });

  it('39: and is 503 when the part does not come', async () => {
    const stream = await start();
    stream.to(30);
    jest.useFakeTimers();
    const refused = expect(stream.published.media('part-00007.m4s')).rejects.toMatchObject({ code: 'not_ready' });
    jest.advanceTimersByTime(3000);
    await refused;
  });

  it.each([
    ...['part-00008.m4s', 'part-00000.m4s', 'part-7.m4s', 'segment-00003.m4s', 'segment-00000.m4s', 'init-2.mp4'],
    ...['init-0.mp4', 'init-1.mp4', 'playlist.m3u8', '.facecast-session', '', '../stream/init.mp4', 'part-00001.m4s/x'],
  ])('40: there is no %s', async (name) => {
    const stream = await start();
    stream.to(30);
    await stream.store.flushed();
    expect(await stream.published.media(name)).toBeUndefined();
  });

  it("22: the hint keeps its promise over a segment's end and an encoder's restart", async () => {
    const stream = await start();
    stream.to(25 * 2 + 10);
    const [hint] = readPlaylist(await stream.published.playlist({})).hints;
    const waiting = stream.published.media(hint!.URI!);
    stream.to(25 * 2 + 12);
    stream.restart();
    stream.to(25 * 2 + 15);
    const { open: filling, segments } = readPlaylist(await stream.published.playlist({}));
    expect(filling!.parts.map(({ uri }) => uri)).toEqual([hint!.URI]);
    expect(segments.at(-1)).toMatchObject({ number: 3, duration: 0.4 });
    expect(await waiting).toEqual(await stream.published.media(hint!.URI!));
  });
});

describe('memory and disk of a live stream', () => {
  const files = (stream: EncodedStream) =>
    readdirSync(join(stream.folder, 'stream'))
      .filter((name) => name.startsWith('segment'))
      .map((name) => Number(/\d+/.exec(name)![0]));

  it('stay as they are however long it goes on', async () => {
    const stream = await start();
    const sizes: number[][] = [];
    for (let minute = 1; minute <= 5; minute++) {
      stream.to(minute * 60 * 25);
      await stream.store.flushed();
      // Removal comes after the writes.
      while (files(stream).length > 18) await new Promise(setImmediate);
      const text = await stream.published.playlist({});
      sizes.push([readPlaylist(text).segments.length, files(stream).length]);
    }
    expect(sizes).toEqual(Array(5).fill(sizes[0]));
    expect(sizes[0]![0]).toBe(7);
  });

  it('keep a segment "until the time at which it first appeared in the Playlist plus the segment\'s Availability Duration"', async () => {
    const stream = await start();
    for (let second = 1; second <= 40; second++) {
      stream.to(25 * second);
      await stream.store.flushed();
      await new Promise(setImmediate);
      // Its own second, and a playlist of 7 whole segments and up to one that is being filled.
      for (let age = 0; age <= 9 && age < second; age++) {
        expect(await stream.published.media(`segment-${String(second - age).padStart(5, '0')}.m4s`)).toBeDefined();
      }
    }
    expect(await stream.published.media('segment-00001.m4s')).toBeUndefined();
    expect(existsSync(join(stream.folder, 'stream', 'segment-00001.m4s'))).toBe(false);
  });

  it('24: forget a part seven target durations later, and no sooner', async () => {
    const stream = await start();
    // It ends at 0.6 s.
    stream.to(25 * 7 + 15);
    expect(await stream.published.media('part-00003.m4s')).toBeDefined();
    stream.to(25 * 7 + 20);
    expect(await stream.published.media('part-00003.m4s')).toBeUndefined();
    expect(await stream.published.media('part-00004.m4s')).toBeDefined();
  });

  it('keep all where the talk is recorded', async () => {
    const stream = await start({ live: { windowSegments: 7, record: true } });
    stream.to(25 * 40);
    await stream.store.flushed();
    expect(files(stream)).toHaveLength(40);
    expect(readPlaylist(await stream.published.playlist({})).segments.map(({ number }) => number)).toEqual([
      34, 35, 36, 37, 38, 39, 40,
    ]);
  });
});

describe('the end of a live stream', () => {
  it('leaves the last window where it was not recorded', async () => {
    const stream = await start();
    stream.to(25 * 20 + 12);
    stream.end();
    const { segments, ended } = readPlaylist(await stream.published.playlist({}));
    expect(ended).toBe(true);
    expect(segments.map(({ number }) => number)).toEqual([14, 15, 16, 17, 18, 19, 20, 21]);
    expect(segments.at(-1)!.duration).toBe(0.48);
    expect(() => stream.published.allFiles()).toThrow('This talk was not recorded: init it with record=true.');
  });

  it('50: becomes "a VOD playlist of the whole talk" once all players have seen the end', async () => {
    const stream = await start({ live: { windowSegments: 7, record: true } });
    stream.to(25 * 12 + 3);
    stream.restart();
    stream.to(25 * 20);
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate'] });
    stream.end();
    const window = await stream.published.playlist({});
    expect(readPlaylist(window).mediaSequence).toBe(14);
    jest.advanceTimersByTime(3000);
    expect(await stream.published.playlist({})).toBe(window);
    jest.advanceTimersByTime(1);
    const text = await stream.published.playlist({ msn: 3 });
    const { segments, mediaSequence, ended, lines } = readPlaylist(text);
    expect([mediaSequence, ended, segments.length]).toEqual([1, true, 20]);
    expect(lines).toContain('#EXT-X-PLAYLIST-TYPE:VOD');
    expect(text).not.toMatch(/PART|HINT|SERVER-CONTROL/);
    // Twelve seconds by one encoder, eight by another; what was in no part yet was encoded again.
    expect(segments.reduce((sum, { duration }) => sum + duration!, 0)).toBeCloseTo(20, 5);
    expect(segments.map(({ map }) => map)).toEqual([...Array(12).fill('init.mp4'), ...Array(8).fill('init-2.mp4')]);
    expect(lines.filter((line) => line === '#EXT-X-DISCONTINUITY')).toHaveLength(1);
    const parsed = parse(text);
    expect(parsed instanceof types.MediaPlaylist && parsed.playlistType).toBe('VOD');
    expect(stream.published.allFiles()).toHaveLength(21);
  });
});

describe("27: an encoder's restart", () => {
  it('is a discontinuity with an init segment of its own, counted on when it leaves the window', async () => {
    const stream = await start();
    stream.to(25 * 2 + 12);
    stream.restart();
    stream.to(25 * 2 + 10 + 5);
    const before = readPlaylist(await stream.published.playlist({}));
    expect(
      before.segments.map(({ duration, discontinuitySequence, map }) => [duration, discontinuitySequence, map]),
    ).toEqual([
      [1, 0, 'init.mp4'],
      [1, 0, 'init.mp4'],
      [0.4, 0, 'init.mp4'],
    ]);
    expect(before.open).toMatchObject({ number: 4, discontinuitySequence: 1, map: 'init-2.mp4' });
    stream.to(25 * 20);
    const after = readPlaylist(await stream.published.playlist({}));
    expect(after.lines).toContain('#EXT-X-DISCONTINUITY-SEQUENCE:1');
    expect(after.lines).not.toContain('#EXT-X-DISCONTINUITY');
    expect(after.segments.every(({ discontinuitySequence }) => discontinuitySequence === 1)).toBe(true);
    expect(after.lines.filter((line) => line.startsWith('#EXT-X-MAP'))).toEqual(['#EXT-X-MAP:URI="init-2.mp4"']);
    expect(await stream.published.media('init-2.mp4')).toBeDefined();
  });

  it('before the first part is none', async () => {
    const stream = await start();
    stream.restart();
    stream.to(30);
    const text = await stream.published.playlist({});
    expect(text).not.toContain('#EXT-X-DISCONTINUITY\n');
    expect(text).toContain('#EXT-X-MAP:URI="init-2.mp4"');
  });
});

describe('28: the multivariant playlist', () => {
  it('tells codecs, resolution, frame rate and bandwidth, once a segment is there', async () => {
    const stream = await start({ edition: 'ab12' });
    const waiting = stream.published.multivariantPlaylist();
    stream.to(24);
    expect(await settled(waiting)).toBe(false);
    stream.to(26);
    const text = await waiting;
    const parsed = parse(text);
    if (!(parsed instanceof types.MasterPlaylist)) throw new Error('not a multivariant playlist');
    expect(parsed.variants).toMatchObject([
      {
        ...{ uri: 'playlist.m3u8', codecs: 'avc1.64001e,mp4a.40.2', frameRate: 25, bandwidth: 4_692_000 },
        resolution: { width: 512, height: 384 },
      },
    ]);
    expect(parsed.independentSegments).toBe(true);
    const first = await stream.published.media('segment-00001.m4s');
    expect(parsed.variants[0]!.averageBandwidth).toBe(8 * (first as { bytes: Uint8Array }).bytes.byteLength);
    stream.to(25 * 3);
    stream.end();
    // "If all the Media Segments in a Variant Stream have already been created", the peak is what it was.
    const after = parse(await stream.published.multivariantPlaylist());
    const sizes = await Promise.all(
      [1, 2, 3].map(async (n) => {
        const media = await stream.published.media(`segment-0000${n}.m4s`);
        return 'path' in media! ? readFileSync(media.path).byteLength : media!.bytes.byteLength;
      }),
    );
    expect(after instanceof types.MasterPlaylist && after.variants[0]!.bandwidth).toBe(8 * Math.max(...sizes));
  });
});
