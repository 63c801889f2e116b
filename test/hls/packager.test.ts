import type { FlvPacket } from '../../src/hls/flv.js';
import { Packager, type Part, type Segment } from '../../src/hls/packager.js';
import { SOUND_CONFIGURATION, VIDEO_CONFIGURATION } from './support/encoded-stream.js';
import { readFragments } from './support/fragments.js';

/** A frame of a size of its own, so that a mix-up shows. */
const frame = (n: number, gop = 25): FlvPacket => ({
  kind: 'video',
  keyFrame: n % gop === 0,
  data: new Uint8Array(100 + n).fill(n),
});
const sound = (n: number): FlvPacket => ({ kind: 'sound', data: new Uint8Array(20 + (n % 7)).fill(n) });

function setUp(partFrames = 25) {
  const init: Uint8Array[] = [];
  const parts: Part[] = [];
  const segments: Segment[] = [];
  const packager = new Packager({
    ...{ width: 512, height: 384, fps: 25, soundRate: 48000, segmentFrames: 25, partFrames },
    onInit: (bytes) => init.push(bytes),
    onPart: (part) => parts.push(part),
    onSegment: (segment) => segments.push(segment),
  });
  const push = (packets: readonly FlvPacket[]) => {
    for (const packet of packets) packager.push(packet);
  };
  return { packager, init, parts, segments, push };
}

const frames = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => frame(from + i));
const sounds = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => sound(from + i));

const read = (init: Uint8Array, parts: readonly Part[]) =>
  readFragments(
    init,
    parts.map(({ bytes }) => bytes),
  );

describe('Packager', () => {
  it('writes the init segment once both tracks are known', () => {
    const { push, init } = setUp();
    push([VIDEO_CONFIGURATION]);
    expect(init).toHaveLength(0);
    push([SOUND_CONFIGURATION, VIDEO_CONFIGURATION]);
    expect(init).toHaveLength(1);
    const { movie, file } = read(init[0], []);
    expect(movie).toMatchObject({
      isFragmented: true,
      brands: ['iso6', 'iso6', 'mp41'],
      tracks: [
        { id: 1, codec: 'avc1.64001e', timescale: 12800, video: { width: 512, height: 384 }, nb_samples: 0 },
        {
          ...{ id: 2, codec: 'mp4a.40.2', timescale: 48000, nb_samples: 0 },
          audio: { sample_rate: 48000, channel_count: 1, sample_size: 16 },
        },
      ],
    });
    expect(file.getBoxes('colr', true)).toMatchObject([
      { colour_type: 'nclx', colour_primaries: 1, transfer_characteristics: 13, matrix_coefficients: 6 },
    ]);
    expect(file.getBoxes('trex', false)).toHaveLength(2);
  });

  it('cuts at exact frame counts and starts sound packets in the part that shows their time', () => {
    const { packager, push, init, segments } = setUp();
    push([VIDEO_CONFIGURATION, SOUND_CONFIGURATION, ...sounds(0, 200), ...frames(0, 60)]);
    packager.finish();
    expect(segments.map(({ number, firstFrame, frames }) => [number, firstFrame, frames])).toEqual([
      [1, 0, 25],
      [2, 25, 25],
      [3, 50, 10],
    ]);
    const parts = segments.flatMap((segment) => segment.parts);
    const { video, sound: heard } = read(init[0], parts);
    expect(video.map(({ dts, cts, duration, size, is_sync }) => [dts, cts, duration, size, is_sync])).toEqual(
      Array.from({ length: 60 }, (_, n) => [n * 512, n * 512, 512, 100 + n, n % 25 === 0]),
    );
    // 60 frames last 115200 samples, which is 112.5 packets: the 113th still starts while a frame is shown.
    expect(heard.map(({ dts, duration, size }) => [dts, duration, size])).toEqual(
      Array.from({ length: 113 }, (_, n) => [n * 1024, 1024, 20 + (n % 7)]),
    );
    expect(video.every((sample, n) => sample.data?.every((byte) => byte === n))).toBe(true);
    expect(heard.every((sample, n) => sample.data?.every((byte) => byte === n))).toBe(true);
    // The first second is 46.875 packets.
    const first = read(init[0], parts.slice(0, 1));
    expect([first.video.length, first.sound.length]).toEqual([25, 47]);
  });

  it('waits for the sound of a part, and no longer', () => {
    const { push, segments } = setUp();
    push([VIDEO_CONFIGURATION, SOUND_CONFIGURATION, ...frames(0, 30), ...sounds(0, 46)]);
    expect(segments).toHaveLength(0);
    push(sounds(46, 47));
    expect(segments).toHaveLength(1);
  });

  it('waits for the pictures of a part, and no longer', () => {
    const { push, segments } = setUp();
    push([VIDEO_CONFIGURATION, SOUND_CONFIGURATION, ...sounds(0, 90), ...frames(0, 24)]);
    expect(segments).toHaveLength(0);
    push(frames(24, 25));
    expect(segments).toHaveLength(1);
  });

  it('cuts short parts, the last of a segment shorter where they do not divide it', () => {
    const { packager, push, init, parts, segments } = setUp(10);
    push([VIDEO_CONFIGURATION, SOUND_CONFIGURATION, ...sounds(0, 100), ...frames(0, 30)]);
    packager.finish();
    expect(parts.map((part) => [part.segment, part.index, part.firstFrame, part.frames, part.independent])).toEqual([
      [1, 0, 0, 10, true],
      [1, 1, 10, 10, false],
      [1, 2, 20, 5, false],
      [2, 0, 25, 5, true],
    ]);
    expect(segments.map((segment) => segment.parts.length)).toEqual([3, 1]);
    const { file, video, sound: heard } = read(init[0], parts);
    expect(video).toHaveLength(30);
    expect(heard.map(({ dts }) => dts)).toEqual(Array.from({ length: 57 }, (_, n) => n * 1024));
    expect(file.getBoxes('mfhd', false)).toMatchObject([1, 2, 3, 4].map((sequence_number) => ({ sequence_number })));
  });

  it('leaves the sound track out of a part in which no packet starts', () => {
    const { packager, push, init, parts } = setUp(1);
    // A frame lasts 1.875 packets, so every part has one; only the end of the sound leaves parts without.
    push([VIDEO_CONFIGURATION, SOUND_CONFIGURATION, ...sounds(0, 2), ...frames(0, 2)]);
    packager.finish();
    expect(parts).toHaveLength(2);
    expect(read(init[0], parts).file.getBoxes('traf', false)).toHaveLength(3);
  });

  it('goes on with another encoder at the first frame that is in no part', () => {
    const { packager, push, init, parts, segments } = setUp(10);
    // Frames 30 to 36 and their sound are there, but in no part yet.
    push([VIDEO_CONFIGURATION, SOUND_CONFIGURATION, ...sounds(0, 70), ...frames(0, 37)]);
    packager.restart(35);
    expect(segments.map(({ firstFrame, frames, discontinuity }) => [firstFrame, frames, discontinuity])).toEqual([
      [0, 25, false],
      [25, 10, false],
    ]);
    push([VIDEO_CONFIGURATION, SOUND_CONFIGURATION, ...sounds(0, 60), ...frames(0, 27)]);
    packager.finish();
    expect(init).toHaveLength(2);
    expect(
      segments.map(({ number, firstFrame, frames, discontinuity }) => [number, firstFrame, frames, discontinuity]),
    ).toEqual([
      [1, 0, 25, false],
      [2, 25, 10, false],
      [3, 35, 25, true],
      [4, 60, 2, false],
    ]);
    expect(parts.map(({ number, segment, index, discontinuity }) => [number, segment, index, discontinuity])).toEqual([
      ...[
        [1, 1, 0, false],
        [2, 1, 1, false],
        [3, 1, 2, false],
      ],
      ...[[4, 2, 0, false]],
      ...[
        [5, 3, 0, true],
        [6, 3, 1, true],
        [7, 3, 2, true],
      ],
      ...[[8, 4, 0, false]],
    ]);
    const { video, sound: heard } = read(init[1], parts.slice(4));
    expect(video.map(({ dts }) => dts)).toEqual(Array.from({ length: 27 }, (_, n) => (35 + n) * 512));
    // 65.625 packets start before frame 35, so number 66 is the first of the new encoder; frame 62 begins at 116.25.
    expect(heard.map(({ dts }) => dts)).toEqual(Array.from({ length: 51 }, (_, n) => (66 + n) * 1024));
    expect(heard.map(({ size }) => size)).toEqual(Array.from({ length: 51 }, (_, n) => 20 + (n % 7)));
  });

  it('is discontinuous once, however often encoders die before a part of theirs is there', () => {
    const { packager, push, segments } = setUp(10);
    packager.restart(0);
    push([VIDEO_CONFIGURATION, SOUND_CONFIGURATION, ...sounds(0, 60), ...frames(0, 25)]);
    for (let death = 0; death < 3; death++) {
      packager.restart(25);
      push([VIDEO_CONFIGURATION, SOUND_CONFIGURATION, ...sounds(0, 10), ...frames(0, 5)]);
    }
    packager.finish();
    expect(segments.map(({ firstFrame, frames, discontinuity }) => [firstFrame, frames, discontinuity])).toEqual([
      [0, 25, false],
      [25, 5, true],
    ]);
  });

  it('refuses to lose frames or to show them twice', () => {
    const { packager, push } = setUp(10);
    push([VIDEO_CONFIGURATION, SOUND_CONFIGURATION, ...sounds(0, 60), ...frames(0, 15)]);
    for (const frame of [0, 9, 11, 15]) {
      expect(() => packager.restart(frame)).toThrow(`Restart at frame ${frame}, but 10 is the next one.`);
    }
  });

  it('makes nothing of nothing', () => {
    const { packager, push, init, segments } = setUp();
    push([VIDEO_CONFIGURATION, SOUND_CONFIGURATION]);
    packager.finish();
    expect([init.length, segments.length]).toEqual([1, 0]);
  });

  it('refuses a segment that does not begin with an IDR picture', () => {
    const { push } = setUp();
    push([VIDEO_CONFIGURATION, SOUND_CONFIGURATION, ...sounds(0, 150), ...frames(0, 49)]);
    expect(() => push([frame(49), ...frames(51, 76)])).toThrow('Frame 50 is no IDR picture');
  });
});
