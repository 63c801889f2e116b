import { parse, types } from 'hls-parser';
import { Parser } from 'm3u8-parser';
import { mediaPlaylist, type PlaylistState, targetDuration } from '../../src/hls/playlist.js';

const STARTED = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

function state(lengths: readonly number[], more: Partial<PlaylistState> = {}): PlaylistState {
  let firstFrame = 0;
  const segments = lengths.map((frames, i) => {
    firstFrame += frames;
    const place = { number: i + 1, uri: `segment-0000${i + 1}.m4s`, firstFrame: firstFrame - frames, frames };
    return { ...place, initUri: 'init.mp4', discontinuity: false, startedAt: STARTED, parts: [] };
  });
  return {
    ...{ kind: 'event', fps: 25, segmentFrames: 25, partFrames: 5, segments, ended: false },
    ...{ nextPartUri: 'part-00099.m4s', discontinuitySequence: 0, skip: false, ...more },
  };
}

/** Four whole segments from number 4 on, parts of 10, 10 and 5 frames, and a segment that is being filled. */
function live(more: Partial<PlaylistState>): PlaylistState {
  const segment = (number: number, lengths: readonly number[]) => {
    const parts = lengths.map((frames, i) => {
      return { uri: `part-000${String(3 * number - 2 + i).padStart(2, '0')}.m4s`, frames, independent: i === 0 };
    });
    const place = { number, uri: `segment-0000${number}.m4s`, firstFrame: (number - 1) * 25 };
    const frames = lengths.reduce((sum, length) => sum + length, 0);
    return {
      ...{ ...place, frames, parts, discontinuity: number === 5, startedAt: STARTED },
      initUri: number < 5 ? 'init.mp4' : 'init-2.mp4',
    };
  };
  const segments = [4, 5, 6, 7].map((number) => segment(number, [10, 10, 5]));
  const given = {
    kind: 'live',
    partFrames: 10,
    segments,
    open: segment(8, [10]),
    nextPartUri: 'part-00023.m4s',
  } as const;
  return { ...state([]), ...given, ...more };
}

describe('mediaPlaylist', () => {
  it('of a talk that goes on only grows', () => {
    expect(mediaPlaylist(state([25, 25]))).toBe(`#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-START:TIME-OFFSET=0
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.678Z
#EXTINF:1.00000,
segment-00001.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:06.678Z
#EXTINF:1.00000,
segment-00002.m4s
`);
  });

  it('of a finished talk is whole and says so', () => {
    expect(mediaPlaylist(state([25, 25, 7], { ended: true }))).toBe(`#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-START:TIME-OFFSET=0
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.678Z
#EXTINF:1.00000,
segment-00001.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:06.678Z
#EXTINF:1.00000,
segment-00002.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:07.678Z
#EXTINF:0.28000,
segment-00003.m4s
#EXT-X-ENDLIST
`);
  });

  it('of a talk without a word ends at once', () => {
    const text = mediaPlaylist(state([], { ended: true }));
    expect(text).toContain('#EXT-X-MEDIA-SEQUENCE:1\n');
    expect(text.endsWith('#EXT-X-START:TIME-OFFSET=0\n#EXT-X-ENDLIST\n')).toBe(true);
  });

  it('of a live stream has parts near its end, a hint, and what a player may ask for', () => {
    expect(mediaPlaylist(live({ discontinuitySequence: 2 }))).toBe(`#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:1
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6.0,HOLD-BACK=3.0,PART-HOLD-BACK=1.20000
#EXT-X-PART-INF:PART-TARGET=0.40000
#EXT-X-MEDIA-SEQUENCE:4
#EXT-X-DISCONTINUITY-SEQUENCE:2
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:08.678Z
#EXTINF:1.00000,
segment-00004.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init-2.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:09.678Z
#EXTINF:1.00000,
segment-00005.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:10.678Z
#EXT-X-PART:DURATION=0.40000,URI="part-00016.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40000,URI="part-00017.m4s"
#EXT-X-PART:DURATION=0.20000,URI="part-00018.m4s"
#EXTINF:1.00000,
segment-00006.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:11.678Z
#EXT-X-PART:DURATION=0.40000,URI="part-00019.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40000,URI="part-00020.m4s"
#EXT-X-PART:DURATION=0.20000,URI="part-00021.m4s"
#EXTINF:1.00000,
segment-00007.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:12.678Z
#EXT-X-PART:DURATION=0.40000,URI="part-00022.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part-00023.m4s"
`);
  });

  it('of a live stream that has ended promises nothing more, and is the same to whoever asks', () => {
    const text = mediaPlaylist(live({ ended: true, open: undefined }));
    expect(text.endsWith('segment-00007.m4s\n#EXT-X-ENDLIST\n')).toBe(true);
    expect(text).not.toContain('HINT');
    expect(mediaPlaylist(live({ ended: true, open: undefined, skip: true }))).toBe(text);
  });

  // The skip boundary is six seconds before the end of the last whole segment.
  it.each([7, 8, 20])('as a delta update of %i segments leaves out all but six', (count) => {
    const segments = live({}).segments;
    const first = segments[0]!;
    const older = Array.from({ length: count - 4 }, (_, i) => {
      return { ...first, uri: `segment-older-${i}.m4s` };
    });
    const given = live({
      segments: [...older, ...segments].map((each, i) => ({ ...each, number: i + 1, firstFrame: 25 * i })),
      open: undefined,
    });
    const full = mediaPlaylist(given).split('\n');
    const delta = mediaPlaylist({ ...given, skip: true }).split('\n');
    const skip = delta.findIndex((line) => line.startsWith('#EXT-X-SKIP'));
    expect(delta[skip]).toBe(`#EXT-X-SKIP:SKIPPED-SEGMENTS=${count - 6}`);
    expect(full.slice(0, skip)).toEqual(delta.slice(0, skip));
    expect(full.slice(full.length - delta.length + skip + 1)).toEqual(delta.slice(skip + 1));
    expect(delta.filter((line) => line.startsWith('segment'))).toHaveLength(6);
  });

  it('is whole where there is nothing to leave out', () => {
    expect(mediaPlaylist(live({ skip: true }))).toBe(mediaPlaylist(live({})));
  });

  it('of the replay of a live talk is a VOD', () => {
    const text = mediaPlaylist(live({ kind: 'replay', ended: true, open: undefined }));
    expect(text).toContain('#EXT-X-VERSION:7\n');
    expect(text).toContain('#EXT-X-PLAYLIST-TYPE:VOD\n');
    expect(text).toContain('#EXT-X-START:TIME-OFFSET=0\n');
    expect(text).not.toMatch(/PART|HINT|SERVER-CONTROL|DISCONTINUITY-SEQUENCE/);
  });

  it.each([
    [30, 5],
    [24, 5],
    [25, 2],
  ])('keeps three parts back at %i frames a second and %i in a part, in the digits it writes', (fps, partFrames) => {
    const text = mediaPlaylist(live({ fps, partFrames }));
    const [, back] = /PART-HOLD-BACK=([\d.]+)/.exec(text)!;
    const [, target] = /PART-TARGET=([\d.]+)/.exec(text)!;
    expect(Math.round(Number(back) * 1e5)).toBe(3 * Math.round(Number(target) * 1e5));
  });

  it.each([
    ['growing', state([25, 25, 25])],
    ['ended', state([25, 25, 3], { ended: true })],
  ])('is understood by two parsers: %s', (_name, given) => {
    const text = mediaPlaylist(given);
    const byHlsParser = parse(text);
    if (!(byHlsParser instanceof types.MediaPlaylist)) throw new Error('not a media playlist');
    const byM3u8Parser = new Parser();
    byM3u8Parser.push(text);
    byM3u8Parser.end();
    const listed = given.segments;
    expect(byHlsParser.segments.map(({ uri, duration }) => ({ uri, duration }))).toEqual(
      listed.map(({ uri, frames }) => ({ uri, duration: frames / 25 })),
    );
    expect(byM3u8Parser.manifest.segments.map(({ uri, duration }) => ({ uri, duration }))).toEqual(
      listed.map(({ uri, frames }) => ({ uri, duration: frames / 25 })),
    );
    expect(byHlsParser.mediaSequenceBase).toBe(listed[0].number);
    expect(byM3u8Parser.manifest.mediaSequence).toBe(listed[0].number);
    expect(byHlsParser.endlist).toBe(given.ended);
    expect(byM3u8Parser.manifest.endList ?? false).toBe(given.ended);
    expect(byHlsParser.segments[0].map?.uri).toBe('init.mp4');
    expect(byM3u8Parser.manifest.segments[0].programDateTime).toBe(STARTED + listed[0].firstFrame * 40);
  });
});

describe('targetDuration', () => {
  it.each([
    [25, 1],
    [12, 1],
    [26, 2],
    [50, 2],
    [75, 3],
  ])('of segments of %i frames at 25 a second is %i s', (segmentFrames, seconds) => {
    expect(targetDuration({ fps: 25, segmentFrames })).toBe(seconds);
  });
});
