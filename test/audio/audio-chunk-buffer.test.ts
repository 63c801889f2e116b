import {
  AudioChunkBuffer,
  type AudioChunkBufferOptions,
  type AudioWindow,
  SAMPLES_PER_FRAME,
} from '../../src/audio/audio-chunk-buffer.js';
import { randomNumbers } from './random.js';

/** Sample i is i + 1: exact in float32 up to 16.7 million, so that every sample tells its own position. */
const COUNTING = new Float32Array(200_000).map((_, i) => i + 1);

function countingSamples(length: number): Float32Array {
  return COUNTING.subarray(0, length);
}

function drain(buffer: AudioChunkBuffer): AudioWindow[] {
  const windows: AudioWindow[] = [];
  for (let window = buffer.next(); window; window = buffer.next()) windows.push(window);
  return windows;
}

/** The windows of `samples`, worked out from the definition alone. */
function expectedWindows(samples: Float32Array, options: AudioChunkBufferOptions): AudioWindow[] {
  const { windowFrames, overlapFrames } = new AudioChunkBuffer(options);
  const totalFrames = Math.ceil(samples.length / SAMPLES_PER_FRAME);
  const windows: AudioWindow[] = [];
  for (let start = 0; start < totalFrames; start += windowFrames - overlapFrames) {
    const last = start + windowFrames >= totalFrames;
    const frames = last ? totalFrames - start : windowFrames;
    const contextFrames = Math.min(options.contextFrames, start);
    const waveform = new Float32Array((contextFrames + frames) * SAMPLES_PER_FRAME);
    waveform.set(samples.slice((start - contextFrames) * SAMPLES_PER_FRAME, (start + frames) * SAMPLES_PER_FRAME));
    windows.push({
      startFrame: start,
      frames,
      overlapFrames: last ? 0 : overlapFrames,
      contextFrames,
      waveform,
    });
    if (last) break;
  }
  return windows;
}

describe('AudioChunkBuffer', () => {
  test.each([
    [0.1, 3, 1],
    [0.04, 2, 1],
    [1, 25, 5],
    [0.5, 13, 3],
    [10, 250, 50],
  ])('a chunk duration of %d s is %d frames with %d of overlap', (chunkDurationSeconds, frames, overlap) => {
    const buffer = new AudioChunkBuffer({ chunkDurationSeconds, contextFrames: 10 });
    expect([buffer.windowFrames, buffer.overlapFrames]).toEqual([frames, overlap]);
  });

  test('no audio gives no window', () => {
    const buffer = new AudioChunkBuffer({ chunkDurationSeconds: 1, contextFrames: 10 });
    buffer.push(new Float32Array(0));
    buffer.finish();
    buffer.finish();
    expect(buffer.next()).toBeUndefined();
    expect(buffer.totalFrames).toBe(0);
  });

  test('a single sample gives one padded frame', () => {
    const buffer = new AudioChunkBuffer({ chunkDurationSeconds: 1, contextFrames: 10 });
    buffer.push(Float32Array.of(0.5));
    expect(buffer.next()).toBeUndefined();
    buffer.finish();
    const waveform = new Float32Array(640);
    waveform[0] = 0.5;
    expect(drain(buffer)).toEqual([{ startFrame: 0, frames: 1, overlapFrames: 0, contextFrames: 0, waveform }]);
  });

  test('whether a full window is the last is known before it is handed out', () => {
    const full = 25 * SAMPLES_PER_FRAME;
    const buffer = new AudioChunkBuffer({ chunkDurationSeconds: 1, contextFrames: 0 });
    buffer.push(countingSamples(full));
    expect(buffer.next()).toBeUndefined();
    buffer.push(Float32Array.of(1));
    expect(buffer.next()).toMatchObject({ startFrame: 0, frames: 25, overlapFrames: 5 });
    buffer.finish();
    expect(drain(buffer)).toMatchObject([{ startFrame: 20, frames: 6, overlapFrames: 0 }]);
  });

  test('nothing can follow the end', () => {
    const buffer = new AudioChunkBuffer({ chunkDurationSeconds: 1, contextFrames: 10 });
    buffer.finish();
    expect(() => buffer.push(Float32Array.of(1))).toThrow('finished');
  });

  test('the windows depend on the samples alone: any length, cutting, reading and timing of the end', () => {
    const random = randomNumbers(20_261_121);
    const below = (limit: number) => Math.floor(random() * limit);
    for (let trial = 0; trial < 250; trial++) {
      const options = { chunkDurationSeconds: 0.1 + random() * 2.4, contextFrames: below(16) };
      const { windowFrames } = new AudioChunkBuffer(options);
      // Every third length is a whole number of frames, where an off-by-one would show.
      const length =
        trial % 3 ? below(trial % 2 ? 160_000 : 10_000) : Math.min(312, below(windowFrames * 6)) * SAMPLES_PER_FRAME;
      const samples = countingSamples(length);
      const expected = expectedWindows(samples, options);

      const largest = length < 10_000 ? 3 : [700, 9000, 200_000][below(3)];
      const buffer = new AudioChunkBuffer(options);
      const windows: AudioWindow[] = [];
      for (let at = 0; at < length; ) {
        const size = 1 + below(largest);
        buffer.push(samples.subarray(at, at + size));
        at += size;
        if (random() < 0.5) windows.push(...drain(buffer));
      }
      if (random() < 0.5) windows.push(...drain(buffer));
      buffer.finish();
      windows.push(...drain(buffer));

      expect(windows.length).toBe(expected.length);
      windows.forEach((window, k) => {
        const { waveform, ...place } = window;
        const { waveform: expectedWaveform, ...expectedPlace } = expected[k];
        expect(place).toEqual(expectedPlace);
        expect(Buffer.compare(bytesOf(waveform), bytesOf(expectedWaveform))).toBe(0);
      });
      const frames = windows.reduce((sum, window) => sum + window.frames - window.overlapFrames, 0);
      expect(frames).toBe(Math.ceil(length / SAMPLES_PER_FRAME));
      expect(buffer.totalFrames).toBe(frames);
      expect(windows.filter((window) => window.overlapFrames === 0).length).toBe(length > 0 ? 1 : 0);
    }
  });

  test('an hour needs no more memory than the first minute', () => {
    const buffer = new AudioChunkBuffer({ chunkDurationSeconds: 1, contextFrames: 10 });
    const second = new Float32Array(16_000);
    let largest = 0;
    for (let k = 0; k < 3600; k++) {
      buffer.push(second);
      drain(buffer);
      largest = Math.max(largest, buffer.capacity);
    }
    expect(buffer.totalSamples).toBe(57_600_000);
    expect(largest).toBeLessThanOrEqual(4 * 16_384);
  });
});

function bytesOf(samples: Float32Array): Uint8Array {
  return new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
}

describe('AudioChunkBuffer of a live stream', () => {
  const live = () => {
    const buffer = new AudioChunkBuffer({ chunkDurationSeconds: 0.4, contextFrames: 3, liveFrames: 20 });
    const push = (frames: number) => {
      const from = buffer.totalSamples;
      buffer.push(COUNTING.subarray(from, from + frames * SAMPLES_PER_FRAME));
    };
    return { buffer, push };
  };

  test('hands a window out as soon as it is full', () => {
    const { buffer, push } = live();
    push(10);
    expect(drain(buffer)).toMatchObject([{ startFrame: 0, frames: 10, overlapFrames: 2 }]);
    expect(buffer.nextStartFrame).toBe(8);
    push(7);
    expect(drain(buffer)).toEqual([]);
    push(1);
    expect(drain(buffer)).toMatchObject([{ startFrame: 8, frames: 10, contextFrames: 3 }]);
  });

  test('takes back what was handed out: the next window starts there, its head fading', () => {
    const { buffer, push } = live();
    push(26);
    expect(drain(buffer)).toHaveLength(3);
    const position = 12 * SAMPLES_PER_FRAME;
    buffer.rewind(12, 12, 4);
    expect(buffer.totalSamples).toBe(position + 4);
    buffer.push(new Float32Array(10 * SAMPLES_PER_FRAME - 4));
    const [window] = drain(buffer);
    expect(window).toMatchObject({ startFrame: 12, frames: 10, overlapFrames: 2, contextFrames: 3 });
    const head = [...window!.waveform.subarray(3 * SAMPLES_PER_FRAME - 1, 3 * SAMPLES_PER_FRAME + 5)];
    const faded = [0.75, 0.5, 0.25, 0].map((weight, i) => Math.fround((position + i + 1) * weight));
    expect(head).toEqual([position, ...faded, 0]);
  });

  test('takes nothing back that was not handed out, nor what is forgotten', () => {
    const { buffer, push } = live();
    push(100);
    drain(buffer);
    expect(buffer.nextStartFrame).toBe(96);
    expect(() => buffer.rewind(97, 97, 4)).toThrow(RangeError);
    expect(() => buffer.rewind(30, 30, 4)).toThrow(RangeError);
    expect(() => buffer.rewind(76, 75, 4)).toThrow(RangeError);
    expect(() => buffer.rewind(76, 78, 4)).not.toThrow();
  });

  test('a stream of hours holds a bounded memory', () => {
    const { buffer } = live();
    const second = new Float32Array(16000);
    for (let i = 0; i < 3600; i++) {
      buffer.push(second);
      drain(buffer);
    }
    expect(buffer.totalFrames).toBe(3600 * 25);
    expect(buffer.capacity).toBeLessThan(4 * 16384);
  });
});
