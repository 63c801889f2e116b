import { readFile, rm } from 'node:fs/promises';
import type { Avatar, Motion } from '../../src/avatar/engine.js';
import { decodePortrait } from '../../src/avatar/portrait.js';
import type { WorkerEngine } from '../../src/inference/worker-engine.js';
import { pcm } from '../support/media.js';
import { samplePortrait, sampleSpeech } from '../support/service.js';
import { PACKS, startTestEngine } from './device.js';

// The same pack on the GPU and on the CPU. A GPU adds up in another order and multiplies with fewer digits (TF32, fp16),
// and where two source cells are equally good, rounding decides which one a frame is drawn from: so frames are compared
// by their signal-to-noise ratio, and a comparison of different frames shows that it tells them apart.

const FRAMES = 25;
/** Decibels that frames reach that are meant to be the same. */
const SAME = 35;
/** Share of the motion's own spread that the two devices' motion may differ by, root mean square. */
const MOTION_TOLERANCE = 0.1;

let waveform: Float32Array;

beforeAll(async () => {
  const bytes = await pcm(sampleSpeech, 16000, 2);
  const samples = new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  // From the second second on, where somebody speaks.
  waveform = Float32Array.from(samples.subarray(16000, 16000 + FRAMES * 640), (sample) => sample / 32768);
});

describe.each(PACKS)('$name pack', ({ make, temporary }) => {
  let folder: string;
  let gpu: WorkerEngine;
  let cpu: WorkerEngine;

  beforeAll(async () => {
    folder = await make();
    gpu = await startTestEngine(folder);
    cpu = await startTestEngine(folder, 'cpu');
  });

  afterAll(async () => {
    await gpu?.close();
    await cpu?.close();
    if (temporary) await rm(folder, { recursive: true, force: true });
  });

  const open = async (engine: WorkerEngine, seed: number, crop = true) =>
    engine.open(await decodePortrait(await readFile(samplePortrait)), { crop, seed, nfe: 10, cfgScale: 2 });

  const speak = (avatar: Avatar, sound = waveform) =>
    avatar.generateMotion(
      // A copy: the engine takes the sound away.
      { startFrame: 0, frames: FRAMES, overlapFrames: 0, contextFrames: 0, waveform: sound.slice() },
      Date.now(),
    );

  const draw = (avatar: Avatar, motion: Motion, frame: number) => avatar.render(single(motion, frame), Date.now());

  it('moves alike on both', async () => {
    const [here, there] = [await speak(await open(gpu, 3)), await speak(await open(cpu, 3))];
    expect(here.tokens).toHaveLength(there.tokens.length);
    expect(rootMeanSquare(here.tokens, there.tokens) / spread(there.tokens)).toBeLessThan(MOTION_TOLERANCE);
    // Silence is not taken for speech.
    const silent = await speak(await open(cpu, 3), new Float32Array(waveform.length));
    expect(rootMeanSquare(silent.tokens, there.tokens) / spread(there.tokens)).toBeGreaterThan(MOTION_TOLERANCE);
  });

  it('draws alike on both', async () => {
    const [here, there] = [await open(gpu, 3), await open(cpu, 3)];
    const motion = await speak(there);
    const uncropped = await open(gpu, 3, false);
    for (const frame of [0, 12, 24]) {
      const expected = await draw(there, motion, frame);
      const actual = await draw(here, motion, frame);
      expect(actual).toHaveLength(expected.length);
      expect(decibels(actual, expected)).toBeGreaterThan(SAME);
      // Another picture is not taken for the same.
      expect(decibels(await draw(uncropped, motion, frame), expected)).toBeLessThan(SAME);
    }
  });

  it("draws each session's frames in a shared run as alone", async () => {
    const [cropped, whole, again] = [await open(gpu, 3), await open(gpu, 3, false), await open(gpu, 4)];
    const motion = await speak(again);
    const frames = [0, 6, 12, 18];
    const alone: Uint8Array[][] = [];
    for (const avatar of [cropped, whole]) {
      const own: Uint8Array[] = [];
      for (const frame of frames) own.push(await draw(avatar, motion, frame));
      alone.push(own);
    }
    // In turns, so that the sessions meet in one run even where it takes few frames.
    const drawn = await Promise.all(
      frames.flatMap((frame) => [cropped, whole].map((avatar) => draw(avatar, motion, frame))),
    );
    for (const i of frames.keys()) {
      const [first, second] = [drawn[2 * i]!, drawn[2 * i + 1]!];
      expect(decibels(first, alone[0]![i]!)).toBeGreaterThan(SAME);
      expect(decibels(second, alone[1]![i]!)).toBeGreaterThan(SAME);
      expect(decibels(first, second)).toBeLessThan(SAME);
    }
  });
});

function single({ startFrame, frames, tokens }: Motion, frame: number): Motion {
  const width = tokens.length / frames;
  return { startFrame: startFrame + frame, frames: 1, tokens: tokens.slice(frame * width, (frame + 1) * width) };
}

function rootMeanSquare(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(sum / a.length);
}

/** Standard deviation. */
function spread(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

/** Peak signal-to-noise ratio of 8-bit pictures. */
function decibels(a: Uint8Array, b: Uint8Array): number {
  return 20 * Math.log10(255 / rootMeanSquare(a, b));
}
