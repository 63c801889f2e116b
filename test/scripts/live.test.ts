import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

// The scripts are JavaScript; these parts of them need neither a browser nor a service.
const { ClickCheck } = require('../../scripts/live/click-check.mjs');
const { click, clickIn, findClick, withClicks } = require('../../scripts/live/clicks.mjs');
const { FrameCheck } = require('../../scripts/live/frame-check.mjs');
const { endsAt, followPlaylist, parseLivePlaylist } = require('../../scripts/live/live-playlist.mjs');
const { filmSound, pictureCodes, trackTimes } = require('../../scripts/live/segment-media.mjs');
const { StampingAvatar } = require('../../scripts/live/stamping.mjs');
const { codeHeight, drawCode, readCode } = require('../../scripts/live/time-code.mjs');
const { slope } = require('../../scripts/live/trend.mjs');

const SIDE = 512;
const NOW = 1_795_000_000_123;

function grey(side = SIDE): Uint8Array {
  return new Uint8Array((side * side * 3) / 2).fill(117);
}

describe('time code', () => {
  const codes = [
    { drawnAt: NOW, frame: 0, session: 0, click: undefined },
    { drawnAt: NOW - 1234, frame: 45_000, session: 255, click: 0 },
    { drawnAt: NOW + 2, frame: 2 ** 24 - 1, session: 3, click: 639 },
  ];

  it.each([256, 512, 720])('is read as it was drawn, in a picture of %i pixels', (side) => {
    for (const code of codes) {
      const frame = grey(side);
      drawCode(frame, side, side, code);
      expect(readCode(frame, side, { now: NOW + 5000 })).toEqual(code);
      // The rest of the picture is as it was.
      expect(frame.subarray(codeHeight(side) * side, side * side).every((luma) => luma === 117)).toBe(true);
    }
  });

  it('is read from RGBA', () => {
    const frame = grey();
    drawCode(frame, SIDE, SIDE, codes[1]);
    const rgba = new Uint8Array(codeHeight(SIDE) * SIDE * 4);
    for (let i = 0; i < rgba.length; i++) rgba[i] = i % 4 === 1 ? frame[i >> 2]! : 255 * (i % 2);
    expect(readCode(rgba, SIDE, { step: 4, offset: 1, now: NOW })).toEqual(codes[1]);
  });

  it('is not read where it is damaged, in doubt, or not there', () => {
    const frame = grey();
    expect(readCode(frame, SIDE, { now: NOW })).toBeUndefined();
    drawCode(frame, SIDE, SIDE, codes[1]);
    const flipped = frame.slice();
    for (let y = 0; y < 16; y++) for (let x = 160; x < 176; x++) flipped[y * SIDE + x] = 251 - flipped[y * SIDE + x]!;
    expect(readCode(flipped, SIDE, { now: NOW })).toBeUndefined();
    const faint = frame.map((luma) => 128 + (luma - 128) / 8);
    expect(readCode(faint, SIDE, { now: NOW })).toBeUndefined();
  });

  it('tells the time from its last 32 bits, on either side of a turn', () => {
    const turn = 418 * 2 ** 32;
    for (const [drawnAt, now] of [
      [turn - 3, turn + 5],
      [turn + 5, turn - 3],
      [turn - 2 ** 30, turn],
    ]) {
      const frame = grey();
      drawCode(frame, SIDE, SIDE, { ...codes[0], drawnAt });
      expect(readCode(frame, SIDE, { now }).drawnAt).toBe(drawnAt);
    }
  });

  it('survives H.264 as FFmpeg encodes it', async () => {
    const drawn = Array.from({ length: 20 }, (_, frame) => ({
      drawnAt: NOW + 40 * frame,
      frame,
      session: 1,
      click: frame,
    }));
    const pictures = drawn.map((code) => {
      const frame = grey();
      drawCode(frame, SIDE, SIDE, code);
      return frame;
    });
    const { stdout, status } = spawnSync(
      'ffmpeg',
      [
        ...['-nostdin', '-v', 'error', '-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-s', '512x512', '-r', '25', '-i', '-'],
        ...['-c:v', 'libx264', '-preset', 'ultrafast', '-b:v', '400k', '-f', 'nut', '-'],
      ],
      { input: Buffer.concat(pictures), maxBuffer: 1 << 26 },
    );
    expect(status).toBe(0);
    expect(await pictureCodes(stdout, SIDE, NOW)).toEqual(drawn);
  });
});

describe('clicks', () => {
  const RATE = 24_000;
  const speech = Float32Array.from({ length: 2 * RATE }, (_, i) => Math.sin(i / 9) * Math.sin(i / 4000) * 0.9);

  it('are found where they were put, in speech and not beside it', () => {
    const sound = withClicks(speech, RATE, [0.5, 1.25]);
    expect(findClick(sound, RATE, 0.5 * RATE + 300, 1000)).toMatchObject({ at: 0.5 * RATE });
    const found = findClick(sound, RATE, 1.25 * RATE, 1000);
    expect(found.at).toBe(1.25 * RATE);
    expect(found.likeness).toBeGreaterThan(0.99);
    expect(found.level).toBeCloseTo(1, 2);
    expect(findClick(sound, RATE, 0.8 * RATE, 1000).level).toBeLessThan(0.4);
    expect(clickIn(sound, 0.5 * RATE - 7, 0.5 * RATE + 100)).toBe(7);
    expect(clickIn(sound, 0.6 * RATE, 1.2 * RATE)).toBeUndefined();
    // On the border of two frames it belongs to one of them.
    const [before, behind] = [0, 1].map((frame) =>
      clickIn(sound, (0.5 + 0.04 * (frame - 1)) * RATE, (0.5 + 0.04 * frame) * RATE),
    );
    expect([before, behind]).toEqual([undefined, 0]);
  });

  it('are seen at the rate that the model hears, even between two samples', () => {
    const shape = click(48_000);
    const middle = (shape.length - 1) / 2;
    for (const phase of [0, 1, 2]) {
      const heard = shape.filter((_: number, i: number) => (i - middle + 48) % 3 === phase);
      expect(clickIn(heard, 0, heard.length)).toBeGreaterThan(10);
    }
  });

  it('that do not fit are refused', () => {
    expect(() => withClicks(speech, RATE, [0.001])).toThrow('A click at 0.001 s does not fit into 2.000 s');
    expect(() => withClicks(speech, RATE, [1.995])).toThrow('does not fit');
  });
});

describe('an avatar with a time code', () => {
  const avatar = () =>
    new StampingAvatar(
      {
        warnings: ['centred'],
        generateMotion: async () => 'motion',
        render: async () => new Uint8Array((2 * 64 * 64 * 3) / 2),
        close: async () => undefined,
      },
      { width: 64, height: 64 },
      7,
    );

  it('stamps every frame with its number and the click in its sound', async () => {
    const stamping = avatar();
    const context = 3;
    const waveform = new Float32Array((context + 4) * 640);
    waveform[(context + 1) * 640 + 33] = 0.9;
    // In the overlap: the next window's business.
    waveform[(context + 3) * 640] = 0.9;
    const window = { startFrame: 100, frames: 4, overlapFrames: 1, contextFrames: context, waveform };
    expect(await stamping.generateMotion(window, 0)).toBe('motion');
    const before = Date.now();
    const pictures = await stamping.render({ startFrame: 100, frames: 2 }, 0);
    const codes = [0, 1].map((i) => readCode(pictures.subarray((i * 64 * 64 * 3) / 2), 64));
    expect(codes).toMatchObject([
      { frame: 100, session: 7, click: undefined },
      { frame: 101, session: 7, click: 33 },
    ]);
    expect(Math.abs(codes[0].drawnAt - before)).toBeLessThan(1000);
    const next = await stamping.render({ startFrame: 103, frames: 2 }, 0);
    expect(readCode(next, 64)).toMatchObject({ frame: 103, click: undefined });
  });

  it('forgets a click that an interruption took back', async () => {
    const stamping = avatar();
    const window = { startFrame: 0, frames: 2, overlapFrames: 0, contextFrames: 0 };
    const waveform = new Float32Array(1280);
    waveform[10] = 0.9;
    await stamping.generateMotion({ ...window, waveform }, 0);
    await stamping.generateMotion({ ...window, waveform: new Float32Array(1280) }, 0);
    expect(readCode(await stamping.render({ startFrame: 0, frames: 2 }, 0), 64).click).toBeUndefined();
  });

  it('is otherwise what it wraps', () => {
    const inner = { warnings: ['centred'], onLost: undefined as unknown };
    const stamping = new StampingAvatar(inner, { width: 64, height: 64 }, 0);
    const listener = () => undefined;
    stamping.onLost = listener;
    expect(inner.onLost).toBe(listener);
    expect(stamping.warnings).toBe(inner.warnings);
  });
});

const PLAYLIST = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:1
#EXT-X-PART-INF:PART-TARGET=0.20000
#EXT-X-MEDIA-SEQUENCE:12
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.000Z
#EXTINF:1.00000,
segment-00012.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init-2.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:06.000Z
#EXT-X-PART:DURATION=0.20000,URI="part-00056.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.12000,URI="part-00057.m4s"
#EXTINF:0.32000,
segment-00013.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:06.320Z
#EXT-X-PART:DURATION=0.20000,URI="part-00058.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part-00059.m4s"
`;

describe('playlist', () => {
  it('is read', () => {
    const playlist = parseLivePlaylist(PLAYLIST, 25);
    expect(playlist).toMatchObject({
      segments: [
        { number: 12, uri: 'segment-00012.m4s', initUri: 'init.mp4', frames: 25, discontinuity: false, parts: [] },
        { number: 13, initUri: 'init-2.mp4', frames: 8, discontinuity: true, parts: [{ frames: 5 }, { frames: 3 }] },
      ],
      open: { number: 14, frames: 5, discontinuity: false, parts: [{ uri: 'part-00058.m4s', frames: 5 }] },
      ended: false,
    });
    expect(endsAt(playlist, 25)).toBe(Date.parse('2026-01-02T03:04:06.520Z'));
    const { open, ended } = parseLivePlaylist('#EXTM3U\n#EXTINF:1,\na.m4s\n#EXT-X-ENDLIST\n', 25);
    expect({ open, ended }).toEqual({ open: undefined, ended: true });
  });

  it('is asked for again where it does not come in time', async () => {
    let answers = 0;
    const server = createServer((_request, response) => {
      response.statusCode = ++answers === 1 ? 503 : answers === 2 ? 200 : 404;
      response.end(PLAYLIST);
    }).listen(0, '127.0.0.1');
    try {
      await new Promise((resolve) => server.once('listening', resolve));
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/p.m3u8`;
      const refused: number[] = [];
      const playlists = followPlaylist(url, { fps: 25, now: () => 7, onRefused: (at: number) => refused.push(at) });
      expect((await playlists.next()).value).toMatchObject({ at: 7, playlist: { ended: false } });
      expect(refused).toEqual([7]);
      await expect(playlists.next()).rejects.toThrow('answered 404');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('is followed part by part, and to its end', async () => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url!);
      const ended = asked.length === 2 ? PLAYLIST.replace(/#EXT-X-PROGRAM-DATE-TIME:.*320Z[\s\S]*/, '') : PLAYLIST;
      response.end(asked.length === 3 ? `${ended}#EXT-X-ENDLIST\n` : ended);
    }).listen(0, '127.0.0.1');
    try {
      await new Promise((resolve) => server.once('listening', resolve));
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/p.m3u8`;
      const times: number[] = [];
      for await (const { at } of followPlaylist(url, { fps: 25, now: () => asked.length })) times.push(at);
      expect(asked).toEqual(['/p.m3u8', '/p.m3u8?_HLS_msn=14&_HLS_part=1', '/p.m3u8?_HLS_msn=14&_HLS_part=0']);
      expect(times).toEqual([1, 2, 3]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe('segments', () => {
  /** A second of picture and sound in fragments of 0.2 s. */
  function film(): Uint8Array {
    const { stdout, status } = spawnSync('ffmpeg', [
      ...['-nostdin', '-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=s=64x64:r=25:d=1'],
      ...['-f', 'lavfi', '-i', 'sine=r=48000:d=1', '-c:v', 'libx264', '-g', '5', '-bf', '0', '-video_track_timescale'],
      ...['12800', '-c:a', 'aac', '-movflags', '+frag_keyframe+empty_moov+default_base_moof', '-f', 'mp4', '-'],
    ]);
    expect(status).toBe(0);
    return stdout;
  }

  it('tell their times, which must follow on each other', async () => {
    const bytes = film();
    const [video, sound] = [trackTimes(bytes).get(1), trackTimes(bytes).get(2)];
    expect(video).toMatchObject({ start: 0, samples: 25 });
    // The encoder's 1024 samples of priming come first.
    expect(sound).toEqual({ start: 0, end: 49_024, samples: 48 });
    const gap = Uint8Array.from(bytes);
    const view = new DataView(gap.buffer);
    const at = Buffer.from(gap.buffer).lastIndexOf('tfdt');
    view.setUint32(at + 12, view.getUint32(at + 12) + 1);
    expect(() => trackTimes(gap)).toThrow(/Track 2 ends at \d+ and goes on at \d+/);
    expect((await filmSound(bytes)).length).toBeGreaterThanOrEqual(48_000);
    await expect(filmSound(new Uint8Array(100))).rejects.toThrow('ffmpeg:');
  });
});

describe('checks of a stream', () => {
  it('count pictures that are late, unread, or out of place: too early or going back', () => {
    const check = new FrameCheck();
    const codes = [0, 0, 1, 1, 4, undefined, 6, 5, 9, 7].map((frame) => (frame === undefined ? undefined : { frame }));
    check.add({ firstFrame: 0, codes: codes.slice(0, 4) });
    check.add({ firstFrame: 4, codes: codes.slice(4) });
    expect(check).toMatchObject({ frames: 10, late: 4, unread: 1, outOfPlace: [7, 8] });
    expect(() => check.add({ firstFrame: 11, codes: [] })).toThrow('10 is next');
  });

  const RATE = 48_000;
  const silence = (seconds: number) => new Float32Array(seconds * RATE);
  /** A timeline of 10 s whose speech begins with frame 50, decoded in two pieces. */
  function checked(late: number, marked: number, expectation: object) {
    const check = new ClickCheck();
    const sound = silence(10);
    sound.set(withClicks(silence(4), RATE, [1, 3]), 2 * RATE + late);
    const codes = Array.from({ length: 250 }, (_, frame) => ({
      frame,
      click: frame === 75 + marked || frame === 125 + marked ? 0 : undefined,
    }));
    check.add({ firstFrame: 0, codes: codes.slice(0, 100), firstSample: 0, sound: sound.subarray(0, 4 * RATE) });
    check.expect({ startFrame: 50, clicks: [1, 3], ...expectation });
    check.add({ firstFrame: 100, codes: codes.slice(100), firstSample: 4 * RATE, sound: sound.subarray(4 * RATE) });
    return check;
  }

  it('measure where clicks are, in sound and picture', () => {
    expect(checked(0, 0, {})).toMatchObject({
      measured: [
        { frame: 75, soundOffset: 0, pictureOffset: 0 },
        { frame: 125, soundOffset: 0, pictureOffset: 0 },
      ],
      missing: 0,
      unwanted: 0,
    });
    expect(checked(480, 2, {}).measured).toMatchObject([
      { soundOffset: 10, pictureOffset: 70 },
      { soundOffset: 10, pictureOffset: 70 },
    ]);
    expect(checked(0, 30, {}).measured[0]).toEqual({ frame: 75, soundOffset: 0 });
  });

  it('miss clicks that are not there, and find those that should not be', () => {
    expect(checked(RATE / 2, 0, {})).toMatchObject({ measured: [], missing: 2 });
    expect(checked(0, 0, { interruptedAt: 100 })).toMatchObject({ measured: [{ frame: 75 }], missing: 0, unwanted: 1 });
    // Nobody knows what is heard at the interruption itself.
    expect(checked(0, 0, { interruptedAt: 120 })).toMatchObject({ missing: 0, unwanted: 0 });
  });

  it('tell the slope of a line through its noise', () => {
    const noisy = Array.from({ length: 101 }, (_, x) => [x, 5 + 0.25 * x + (x % 2 ? 1 : -1)]);
    expect(slope(noisy)).toBeCloseTo(0.25, 2);
    expect(() => slope([[1, 2]])).toThrow(RangeError);
  });
});
