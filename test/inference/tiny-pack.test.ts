import { rm } from 'node:fs/promises';
import { LocalEngine } from '../../src/avatar/local-engine.js';
import { ModelPack } from '../../src/inference/model-pack.js';
import { makeTinyPack, TINY_SIDE } from '../support/tiny-pack.js';

// A pack that is unlike the portrait pack in all that the contract leaves open, and whose every frame is known.

const FRAME_BYTES = (TINY_SIDE * TINY_SIDE * 3) / 2;
let folder: string;
let engine: LocalEngine;

beforeAll(async () => {
  folder = await makeTinyPack();
  engine = await LocalEngine.load(await ModelPack.read(folder), { device: 'cpu', batchFrames: 5 });
});

afterAll(async () => {
  await engine?.close();
  await rm(folder, { recursive: true, force: true });
});

const grey = (level: number) => ({ width: 64, height: 64, data: new Uint8Array(64 * 64 * 3).fill(level) });

/** Sound whose frame n has the constant value n / 100. */
function staircase(from: number, to: number): Float32Array {
  return Float32Array.from({ length: (to - from) * 640 }, (_, i) => (from + Math.floor(i / 640)) / 100);
}

it('draws, of every window and batch, the frames that the sound and the portrait ask for', async () => {
  const avatar = await engine.open(grey(60), { crop: false, seed: 1, nfe: 6, cfgScale: 1 });
  expect(avatar.warnings).toEqual([expect.stringMatching(/^image: no face was found/)]);
  const levels: number[] = [];
  // Windows longer than the generator's own, with context and overlap, the last one short.
  for (const [startFrame, frames, overlapFrames] of [
    [0, 25, 5],
    [20, 25, 5],
    [40, 7, 0],
  ] as const) {
    const contextFrames = Math.min(5, startFrame);
    const waveform = staircase(startFrame - contextFrames, startFrame + frames);
    const motion = await avatar.generateMotion({ startFrame, frames, overlapFrames, contextFrames, waveform }, 0);
    expect(motion).toMatchObject({ startFrame, frames: frames - overlapFrames });
    const pictures = await avatar.render(motion, 0);
    expect(pictures.length).toBe(motion.frames * FRAME_BYTES);
    for (let frame = 0; frame < motion.frames; frame++) {
      const picture = pictures.subarray(frame * FRAME_BYTES, (frame + 1) * FRAME_BYTES);
      expect(new Set(picture).size).toBe(1);
      levels.push(picture[0]!);
    }
  }
  expect(levels).toEqual(Array.from({ length: 47 }, (_, frame) => 60 + frame));
  await avatar.close();
});

it('keeps the identities of two avatars apart', async () => {
  const options = { crop: false, seed: 1, nfe: 5, cfgScale: 1 };
  const [dark, light] = [await engine.open(grey(10), options), await engine.open(grey(200), options)];
  const still = { startFrame: 0, frames: 2, tokens: new Float32Array(8) };
  expect((await dark.render(still, 0))[0]).toBe(10);
  expect((await light.render(still, 0))[0]).toBe(200);
  expect((await dark.render(still, 0))[0]).toBe(10);
});

it('says which tensor of a source encoder does not fit', async () => {
  const pack = await ModelPack.read(folder);
  const { OnnxModel } = await import('../../src/inference/onnx-model.js');
  const wrong = await OnnxModel.load(pack.graphPath('audio_encoder'), { device: 'cpu', threads: 1 });
  expect(() => pack.check('source_encoder', wrong)).toThrow('source_encoder input "image" is missing');
  await wrong.close();
});
