import type { IdentityTensors } from '../../src/avatar/portrait-analyser/analyser.js';
import { OnnxModel } from '../../src/inference/onnx-model.js';
import { RENDERER } from './portrait-analyser-source.js';

/** Names of the motion tokens, in order. */
export const TOKENS = (
  'jaw open width round protrude lipclose tuck upper_raise lower_drop teeth tongue_tip tongue_out tongue_back stretch ' +
  'press speech voiced nasal brow_up brow_down squint smile blink_left blink_right gaze_x gaze_y pitch yaw roll ' +
  'shift_x shift_y'
).split(' ');
const SCALE = [...new Array(18).fill(3), 4, 4, 4, 4, 3, 3, 4, 4, 15, 15, 15, 40, 40];
/** An open vowel. */
export const AA = { jaw: 0.75, open: 0.78, upper_raise: 0.4, lower_drop: 0.7 };

/** The pack's renderer graph, loaded for each test file that imports this one. */
export let model: OnnxModel;

beforeAll(async () => {
  model = await OnnxModel.load(RENDERER, { device: 'cpu', threads: 1 });
});

afterAll(() => model.close());

/** A frame [1, 768, 512], I420, of identity tensors and tokens in their own units; what is not named is 0. */
export async function render(tensors: IdentityTensors, pose: Record<string, number> = {}): Promise<Uint8Array> {
  const motion = Float32Array.from(TOKENS, (name, i) => (pose[name] ?? 0) * SCALE[i]);
  const { motion_ref: _, ...identity } = tensors;
  const { frames } = await model.run({ ...identity, motion: { data: motion, dims: [1, 31] } });
  expect(frames.dims).toEqual([1, 768, 512]);
  return frames.data as Uint8Array;
}

/** I420, BT.601 limited range, to RGB as a player would show it. */
export function toRgb(frame: Uint8Array): Float32Array {
  const rgb = new Float32Array(512 * 512 * 3);
  for (let y = 0; y < 512; y++) {
    for (let x = 0; x < 512; x++) {
      const luma = 1.16438 * (frame[y * 512 + x] - 16);
      const chroma = 512 * 512 + (y >> 1) * 256 + (x >> 1);
      const u = frame[chroma] - 128;
      const v = frame[chroma + 256 * 256] - 128;
      rgb.set([luma + 1.59603 * v, luma - 0.39176 * u - 0.81297 * v, luma + 2.01723 * u], (y * 512 + x) * 3);
    }
  }
  return rgb;
}

export function psnr(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return 10 * Math.log10((255 * 255 * a.length) / sum);
}

/** The box of luma pixels that differ by more than a few levels, and how many they are. */
export function changed(a: Uint8Array, b: Uint8Array, threshold = 3) {
  const box = { left: 512, top: 512, right: -1, bottom: -1, count: 0 };
  for (let y = 0; y < 512; y++) {
    for (let x = 0; x < 512; x++) {
      if (Math.abs(a[y * 512 + x] - b[y * 512 + x]) <= threshold) continue;
      box.left = Math.min(box.left, x);
      box.right = Math.max(box.right, x);
      box.top = Math.min(box.top, y);
      box.bottom = Math.max(box.bottom, y);
      box.count++;
    }
  }
  return box;
}
