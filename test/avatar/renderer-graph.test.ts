import {
  analysePortrait,
  type IdentityTensors,
  type PortraitSource,
} from '../../src/avatar/portrait-analyser/analyser.js';
import { OnnxModel } from '../../src/inference/onnx-model.js';
import { dataPath, describeWithData } from '../support/data.js';
import { landmark, meanFace, paint, RENDERER, SAMPLE, sourceOf, unitOf } from './portrait-analyser-source.js';

const TOKENS = (
  'jaw open width round protrude lipclose tuck upper_raise lower_drop teeth tongue_tip tongue_out tongue_back stretch ' +
  'press speech voiced nasal brow_up brow_down squint smile blink_left blink_right gaze_x gaze_y pitch yaw roll ' +
  'shift_x shift_y'
).split(' ');
const SCALE = [...new Array(18).fill(3), 4, 4, 4, 4, 3, 3, 4, 4, 15, 15, 15, 40, 40];
const AA = { jaw: 0.75, open: 0.78, upper_raise: 0.4, lower_drop: 0.7 };

let model: OnnxModel;

beforeAll(async () => {
  model = await OnnxModel.load(RENDERER, { device: 'cpu', threads: 1 });
});

afterAll(() => model.close());

async function render(tensors: IdentityTensors, pose: Record<string, number> = {}): Promise<Uint8Array> {
  const motion = Float32Array.from(TOKENS, (name, i) => (pose[name] ?? 0) * SCALE[i]);
  const { motion_ref: _, ...identity } = tensors;
  const { frames } = await model.run({ ...identity, motion: { data: motion, dims: [1, 31] } });
  expect(frames.dims).toEqual([1, 768, 512]);
  return frames.data as Uint8Array;
}

/** I420, BT.601 limited range, to RGB as a player would show it. */
function toRgb(frame: Uint8Array): Float32Array {
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

function psnr(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return 10 * Math.log10((255 * 255 * a.length) / sum);
}

/** The box of luma pixels that differ by more than a few levels, and how many they are. */
function changed(a: Uint8Array, b: Uint8Array, threshold = 3) {
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

describe('renderer graph', () => {
  let source: PortraitSource;
  let tensors: IdentityTensors;
  let rest: Uint8Array;
  let u: number;

  beforeAll(async () => {
    source = await sourceOf(SAMPLE);
    tensors = analysePortrait(source);
    rest = await render(tensors);
    u = unitOf(source);
  });

  test('wants exactly what the analyser gives', () => {
    const wanted = model.inputs.map(({ name }) => name).filter((name) => name !== 'motion');
    expect(wanted.sort()).toEqual(
      Object.keys(tensors)
        .filter((name) => name !== 'motion_ref')
        .sort(),
    );
  });

  test('shows the photo at rest', () => {
    expect(psnr(toRgb(rest), source.image.data)).toBeGreaterThan(34);
  });

  test('gives the same bytes for the same motion', async () => {
    const pose = { ...AA, yaw: 0.05, blink_left: 0.4 };
    expect(Buffer.compare(await render(tensors, pose), await render(tensors, pose))).toBe(0);
  });

  test('bears tokens far beyond their range', async () => {
    const sane = await render(tensors, { yaw: 0.22, pitch: 0.22, jaw: 1, open: 1 });
    for (const value of [1e4, -1e4]) {
      const frame = await render(tensors, Object.fromEntries(TOKENS.map((name) => [name, value])));
      // Bounded, not smeared over the frame: what lies beside the head is still the photo.
      for (const at of [0, 511, 512 * 256, 512 * 257 - 1]) expect(frame[at]).toBe(sane[at]);
    }
  });

  test('loses nothing by computing expression on the face only', async () => {
    const pose = { ...AA, smile: 0.5, brow_up: 1, yaw: 0.22, roll: 0.3, shift_x: 0.15, shift_y: -0.15 };
    const integers = (...values: number[]) => ({ data: BigInt64Array.from(values, BigInt), dims: [values.length] });
    const whole = {
      ...tensors,
      face_nodes: integers(0, 0),
      face_node_count: integers(65, 65),
      face_reach: integers(0),
      face_grid_scale: { data: Float32Array.of(1, 1), dims: [1, 2, 1, 1] },
      face_grid_shift: { data: Float32Array.of(0, 0), dims: [1, 2, 1, 1] },
    };
    expect(tensors.face_node_count.data[0]).toBeLessThan(60);
    // The picture is grainy: a tenth of a pixel of motion left out shows as noise of this size, a wrong block as 20 dB.
    expect(psnr(await render(tensors, pose), await render(whole, pose))).toBeGreaterThan(38);
  });

  test('opens the mouth, and moves nothing above the nose or beside the face', async () => {
    const box = changed(rest, await render(tensors, AA));
    expect(box.count).toBeGreaterThan(0.05 * u * u);
    expect(box.top).toBeGreaterThan(landmark(source, 4).y - 0.1 * u);
    expect(box.left).toBeGreaterThan(landmark(source, 234).x - 0.1 * u);
    expect(box.right).toBeLessThan(landmark(source, 454).x + 0.1 * u);
  });

  test('closed lips win over an open jaw', async () => {
    const closed = await render(tensors, { ...AA, lipclose: 1 });
    const open = await render(tensors, AA);
    const parted = (frame: Uint8Array) => {
      let count = 0;
      const { x, y } = landmark(source, 13);
      for (let row = Math.round(y - 0.05 * u); row < y + 0.15 * u; row++) {
        for (let column = Math.round(x - 0.15 * u); column < x + 0.15 * u; column++) {
          if (Math.abs(frame[row * 512 + column] - rest[row * 512 + column]) > 40) count++;
        }
      }
      return count;
    };
    expect(parted(open)).toBeGreaterThan(0.015 * u * u);
    expect(parted(closed)).toBeLessThan(0.1 * parted(open));
  });

  test('blinks with one eye and changes nothing else', async () => {
    for (const [token, corners] of [
      ['blink_left', [33, 133]],
      ['blink_right', [362, 263]],
    ] as const) {
      const box = changed(rest, await render(tensors, { [token]: 1 }));
      const [outer, inner] = corners.map((i) => landmark(source, i));
      expect(box.count).toBeGreaterThan(0.01 * u * u);
      expect(box.left).toBeGreaterThan(outer.x - 0.1 * u);
      expect(box.right).toBeLessThan(inner.x + 0.1 * u);
      expect(box.top).toBeGreaterThan(Math.min(outer.y, inner.y) - 0.2 * u);
      expect(box.bottom).toBeLessThan(Math.max(outer.y, inner.y) + 0.15 * u);
    }
  });

  test('turns the nose right and down, and keeps the corners of the picture', async () => {
    const { x, y } = landmark(source, 1);
    const patch = (frame: Uint8Array, dx: number, dy: number) => {
      const values: number[] = [];
      for (let row = -16; row <= 16; row++) {
        for (let column = -16; column <= 16; column++) {
          values.push(frame[(Math.round(y) + row + dy) * 512 + Math.round(x) + column + dx]);
        }
      }
      return values;
    };
    const movement = (frame: Uint8Array) => {
      const still = patch(rest, 0, 0);
      let best = { dx: 0, dy: 0, score: Number.NEGATIVE_INFINITY };
      for (let dy = -14; dy <= 14; dy++) {
        for (let dx = -14; dx <= 14; dx++) {
          const score = psnr(patch(frame, dx, dy), still);
          if (score > best.score) best = { dx, dy, score };
        }
      }
      return best;
    };
    const yawed = await render(tensors, { yaw: 0.1 });
    expect(movement(yawed).dx).toBeGreaterThan(2);
    expect(movement(await render(tensors, { pitch: 0.1 })).dy).toBeGreaterThan(2);
    expect(movement(await render(tensors, { shift_x: -0.05 })).dx).toBeCloseTo(-0.05 * u, -0.5);
    for (const at of [0, 511, 511 * 512, 512 * 512 - 1]) expect(yawed[at]).toBe(rest[at]);
  });
});

describe('renderer graph on painted pictures', () => {
  test('lays the planes out as I420 in BT.601, limited range', async () => {
    const corners = [
      [220, 30, 40],
      [30, 200, 60],
      [40, 60, 210],
      [128, 128, 128],
    ] as const;
    const image = paint((x, y) => corners[(x < 256 ? 0 : 1) + (y < 256 ? 0 : 2)]);
    const frame = await render(analysePortrait({ image, landmarks: meanFace(256, 250, 200) }));
    const rgb = toRgb(frame);
    for (const [i, [x, y]] of [
      [20, 20],
      [490, 20],
      [20, 490],
      [490, 490],
    ].entries()) {
      for (let c = 0; c < 3; c++) expect(Math.abs(rgb[(y * 512 + x) * 3 + c] - corners[i][c])).toBeLessThan(3);
    }
  });

  /** Height in pixels of what shows between the lips of a face without features. */
  async function gapOf(height: number, pose: Record<string, number>): Promise<number> {
    const x = 256;
    const source = { image: paint(() => [150, 150, 150] as const), landmarks: meanFace(x, 256, height) };
    const frame = await render(analysePortrait(source), pose);
    let [first, last] = [512, -1];
    for (let y = 0; y < 512; y++) {
      if (Math.abs(frame[y * 512 + x] - frame[0]) < 8) continue;
      first = Math.min(first, y);
      last = Math.max(last, y);
    }
    // Both edges are soft: half a pixel each is lip.
    return last < 0 ? 0 : last - first;
  }

  test('parts the lips as far as `open` says, in proportion to the face', async () => {
    for (const height of [300, 150]) {
      const source = { image: paint(() => [0, 0, 0] as const), landmarks: meanFace(256, 256, height) };
      const mm = unitOf(source) / 92;
      const a = (await gapOf(height, AA)) / mm;
      expect(a).toBeGreaterThan(11);
      expect(a).toBeLessThan(15.5);
      const i = (await gapOf(height, { jaw: 0.2, open: 0.3, stretch: 0.7, width: 0.6 })) / mm;
      expect(i).toBeGreaterThan(3.2);
      expect(i).toBeLessThan(6.5);
    }
  });

  /** A face of plain skin with open eyes: white, a dark iris, a dark fold over the lid; a rim across the brows if wanted. */
  function plainFaceWithEyes(rim: boolean): PortraitSource {
    const landmarks = meanFace(256, 250, 300);
    const at = (i: number) => ({ x: landmarks[i * 3], y: landmarks[i * 3 + 1] });
    const eyes = [
      [33, 133, 159, 145],
      [362, 263, 386, 374],
    ].map(([a, b, upper, lower]) => {
      const [left, right, top, bottom] = [at(a), at(b), at(upper), at(lower)];
      return {
        x: (left.x + right.x) / 2,
        y: (top.y + bottom.y) / 2,
        half: (right.x - left.x) / 2,
        high: bottom.y - top.y,
      };
    });
    const image = paint((x, y) => {
      for (const eye of eyes) {
        const [dx, dy] = [(x - eye.x) / eye.half, (y - eye.y) / (0.5 * eye.high)];
        if (rim && Math.abs(x - eye.x) < 2 * eye.half && Math.abs(dy + 2.6) < 0.4) return [20, 20, 24];
        if (dx * dx + dy * dy < 1)
          return Math.hypot(x - eye.x, y - eye.y) < 0.45 * eye.high ? [40, 30, 20] : [235, 235, 235];
        if (!rim && Math.abs(dx) < 1 && Math.abs(dy + 2.5 - 0.5 * dx * dx) < 0.25) return [110, 70, 55];
      }
      return [190, 140, 115];
    });
    return { image, landmarks };
  }

  test('a shut eye is skin: nothing of the eye or its fold is left', async () => {
    const plain = plainFaceWithEyes(false);
    const tensors = analysePortrait(plain);
    const [open, shut] = [await render(tensors), await render(tensors, { blink_left: 1, blink_right: 1 })];
    const skin = open[10 * 512 + 256];
    const { x, y } = landmark(plain, 159);
    const strange = (frame: Uint8Array) => {
      let count = 0;
      for (let row = Math.round(y - 14); row < y + 5; row++) {
        for (let column = Math.round(x - 20); column < x + 20; column++) {
          if (Math.abs(frame[row * 512 + column] - skin) > 25) count++;
        }
      }
      return count;
    };
    expect(strange(open)).toBeGreaterThan(150);
    expect(strange(shut)).toBeLessThan(0.05 * strange(open));
  });

  test('a shut lid comes out of a dark socket, but not lighter than the cheek', async () => {
    const plain = plainFaceWithEyes(false);
    const eyes = [159, 386].map((i) => landmark(plain, i));
    const u = unitOf(plain);
    // Skin in shade around the eyes.
    for (let y = 0; y < 512; y++) {
      for (let x = 0; x < 512; x++) {
        const away = Math.min(
          ...eyes.map((eye) => Math.hypot((x - eye.x) / (0.34 * u), (y - eye.y + 0.05 * u) / (0.17 * u))),
        );
        const at = (y * 512 + x) * 3;
        if (away < 1 && plain.image.data[at] === 190) for (let c = 0; c < 3; c++) plain.image.data[at + c] *= 0.7;
      }
    }
    const tensors = analysePortrait(plain);
    const shut = await render(tensors, { blink_left: 1, blink_right: 1 });
    const [socket, cheek] = [0.06, 0.3].map((down) => {
      const y = Math.round(eyes[0].y + (down === 0.06 ? -down : down) * u);
      return shut[y * 512 + Math.round(eyes[0].x)];
    });
    const lid = shut[Math.round(eyes[0].y + 0.005 * u) * 512 + Math.round(eyes[0].x)];
    expect(socket).toBeLessThan(0.8 * cheek);
    expect(lid).toBeGreaterThan(0.9 * cheek);
    expect(lid).toBeLessThan(cheek);
  });

  test('a shut lid does not cross a spectacle rim', async () => {
    const face = plainFaceWithEyes(true);
    const { y } = landmark(face, 159);
    const tensors = analysePortrait(face);
    const [open, shut] = [await render(tensors), await render(tensors, { blink_left: 1, blink_right: 1 })];
    const rim = [...open.keys()].filter((at) => at < 512 * 512 && open[at] < 45 && at < 512 * (y - 5));
    expect(rim.length).toBeGreaterThan(200);
    const kept = rim.filter((at) => shut[at] < 80).length;
    expect(kept).toBeGreaterThan(0.97 * rim.length);
  });

  test('rounded lips leave an opening that is round, dark and narrow', async () => {
    const tensors = analysePortrait({
      image: paint(() => [0, 0, 0] as const),
      landmarks: meanFace(256, 256, 420),
    });
    const opening = (frame: Uint8Array) => {
      const heights: number[] = [];
      let [light, count] = [0, 0];
      for (let x = 0; x < 512; x++) {
        let height = 0;
        for (let y = 256; y < 512; y++) {
          if (Math.abs(frame[y * 512 + x] - frame[0]) < 6) continue;
          height++;
          light += frame[y * 512 + x];
          count++;
        }
        if (height > 0) heights.push(height);
      }
      const mean = heights.reduce((sum, height) => sum + height, 0) / heights.length;
      return { width: heights.length, roundness: mean / Math.max(...heights), light: light / count };
    };
    const spread = opening(await render(tensors, { jaw: 0.2, open: 0.35 }));
    const rounded = opening(await render(tensors, { jaw: 0.2, open: 0.35, round: 1, protrude: 0.8, width: -0.6 }));
    // Mean height against the greatest: pi / 4 for an ellipse, a half for a lozenge.
    expect(rounded.roundness).toBeGreaterThan(0.77);
    expect(rounded.roundness).toBeGreaterThan(spread.roundness);
    expect(rounded.width).toBeLessThan(0.75 * spread.width);
    expect(rounded.light).toBeLessThan(0.85 * spread.light);
  });

  test('a tucked lower lip thins, lies at the upper teeth without a gap, and leaves the corners where they are', async () => {
    const landmarks = meanFace(256, 256, 420);
    const place = (i: number) => ({ x: landmarks[i * 3], y: landmarks[i * 3 + 1] });
    const [line, bottom, left, right] = [place(14).y, place(17).y, place(61).x, place(291).x];
    const onLip = (x: number, y: number) => x > left && x < right && y > line && y < bottom;
    const source = {
      image: paint((x, y) => (onLip(x, y) ? [190, 40, 60] : [190, 140, 115])),
      landmarks,
    };
    const tensors = analysePortrait(source);
    const [rest, tucked] = [await render(tensors), await render(tensors, { tuck: 1, open: 0.07, jaw: 0.12 })];
    const colours = toRgb(tucked);
    const red = (rgb: Float32Array, x: number, y: number) => rgb[(y * 512 + x) * 3] - rgb[(y * 512 + x) * 3 + 1] > 90;
    const lip = (frame: Uint8Array) => {
      const rgb = toRgb(frame);
      const rows = [...Array(120).keys()].map((i) => Math.round(line) - 40 + i).filter((y) => red(rgb, 256, y));
      return { top: rows[0], height: rows.length };
    };
    const [still, rolled] = [lip(rest), lip(tucked)];
    // Squeezing alone leaves a third of it.
    expect(rolled.height).toBeLessThan(0.3 * still.height);
    expect(rolled.height).toBeGreaterThan(0.1 * still.height);
    // Right above it 2 mm of teeth: pale, no dark between.
    for (let y = rolled.top - Math.round((2 / 92) * unitOf(source)); y < rolled.top - 2; y++) {
      const [r, g, b] = colours.subarray((y * 512 + 256) * 3, (y * 512 + 256) * 3 + 3);
      expect(Math.min(r, g, b)).toBeGreaterThan(80);
      expect(r - g).toBeLessThan(70);
    }
    // The corners are not drawn apart.
    const above = rest.slice();
    above.set(tucked.subarray(0, 512 * Math.floor(line)));
    const box = changed(rest, above, 12);
    expect(box.count).toBeGreaterThan(100);
    expect(box.left).toBeGreaterThan(left);
    expect(box.right).toBeLessThan(right);
  });

  test('a smile draws the corners out and up, alike on both sides', async () => {
    // A face with a dark line between its lips.
    const landmarks = meanFace(256, 256, 420);
    const place = (i: number) => ({ x: landmarks[i * 3], y: landmarks[i * 3 + 1] });
    const [left, right, middle] = [place(61), place(291), place(13)];
    const image = paint((x, y) =>
      Math.abs(y - middle.y) < 2.5 && x > left.x && x < right.x ? [60, 30, 30] : [190, 140, 115],
    );
    const tensors = analysePortrait({ image, landmarks });
    const line = (frame: Uint8Array) => {
      const dark: Array<{ x: number; y: number }> = [];
      for (let x = 120; x < 392; x++) {
        let best = 0;
        for (let y = Math.round(middle.y) - 40; y < middle.y + 20; y++) {
          if (best === 0 || frame[y * 512 + x] < frame[best * 512 + x]) best = y;
        }
        if (frame[best * 512 + x] < 110) dark.push({ x, y: best });
      }
      return { first: dark[0], last: dark[dark.length - 1] };
    };
    const [rest, smile] = [line(await render(tensors)), line(await render(tensors, { smile: 1 }))];
    const u = unitOf({ image, landmarks });
    const out = [rest.first.x - smile.first.x, smile.last.x - rest.last.x];
    const up = [rest.first.y - smile.first.y, rest.last.y - smile.last.y];
    for (const side of [0, 1]) {
      expect(out[side]).toBeGreaterThan(0.035 * u);
      expect(up[side]).toBeGreaterThan(0.06 * u);
    }
    expect(Math.abs(out[0] - out[1])).toBeLessThan(0.012 * u);
    expect(Math.abs(up[0] - up[1])).toBeLessThan(0.012 * u);
  });

  test('a smile folds the skin beside the mouth, pursed lips hollow it under them; the rest keeps its light', async () => {
    const face = { image: paint(() => [150, 110, 90] as const), landmarks: meanFace(256, 256, 320) };
    const tensors = analysePortrait(face);
    const rest = await render(tensors);
    const skin = rest[0];
    const lightAt = (frame: Uint8Array, { x, y }: { x: number; y: number }, dy = 0) =>
      frame[Math.round(y + dy) * 512 + Math.round(x)];
    const u = unitOf(face);
    const smile = await render(tensors, { smile: 1 });
    const darkest = (from: number, to: number) => {
      let value = 255;
      for (let x = from; x < to; x++)
        value = Math.min(value, lightAt(smile, { x, y: landmark(face, 206).y - 0.03 * u }));
      return value;
    };
    const [left, right] = [landmark(face, 206), landmark(face, 426)];
    const reach = Math.round(0.12 * u);
    const folds = [left, right].map(({ x }) => darkest(Math.round(x) - reach, Math.round(x) + reach));
    for (const fold of folds) {
      expect(fold).toBeLessThan(skin - 6);
      expect(fold).toBeGreaterThan(skin - 35);
    }
    const pursed = await render(tensors, { round: 1, jaw: 0.1 });
    expect(lightAt(pursed, landmark(face, 17), 0.05 * u)).toBeLessThan(skin - 3);
    for (const frame of [smile, pursed]) {
      for (const place of [landmark(face, 10), landmark(face, 1), { x: 40, y: 300 }]) {
        expect(Math.abs(lightAt(frame, place) - skin)).toBeLessThan(2);
      }
    }
  });

  /** A head with dark hair before two door posts, and how far each pixel lies outside it (1 on the hair's edge). */
  function headBeforePosts(grain = 0) {
    const landmarks = meanFace(256, 270, 230);
    const middle = { x: 256, y: (landmarks[10 * 3 + 1] + landmarks[152 * 3 + 1]) / 2 };
    const [wide, high] = [
      0.5 * (landmarks[454 * 3] - landmarks[234 * 3]),
      0.5 * (landmarks[152 * 3 + 1] - landmarks[10 * 3 + 1]),
    ];
    const grained = (x: number, y: number) => {
      const light = ((x >> 1) + (y >> 1)) % 2 ? grain : -grain;
      return [120 + light, 170 + light, 225 + light] as const;
    };
    const outside = (x: number, y: number) =>
      Math.hypot((x - middle.x) / (1.25 * wide), (y - middle.y + 0.3 * high) / (1.5 * high));
    const image = paint((x, y) => {
      if (Math.hypot((x - middle.x) / wide, (y - middle.y) / high) < 1) return [205, 150, 125];
      if (outside(x, y) < 1) return [60, 40, 30];
      if (y > 370 && Math.abs(x - middle.x) < 60 + 1.5 * (y - 370)) return [80, 40, 50];
      return Math.abs(Math.abs(x - middle.x) / (1.25 * wide) - 1.45) < 0.05 ? [90, 100, 110] : grained(x, y);
    });
    return { source: { image, landmarks }, outside, top: middle.y - 1.8 * high };
  }

  test('turns the head without bending what is behind it', async () => {
    const { source, outside } = headBeforePosts();
    const tensors = analysePortrait(source);
    const rest = await render(tensors);
    const poses: Array<Record<string, number>> = [{ roll: 0.15 }, { yaw: 0.22, pitch: -0.1 }, { shift_x: 0.1 }];
    for (const pose of poses) {
      const frame = await render(tensors, pose);
      let [far, bent, moved] = [0, 0, 0];
      for (let y = 0; y < 330; y++) {
        for (let x = 0; x < 512; x++) {
          const different = Math.abs(frame[y * 512 + x] - rest[y * 512 + x]) > 4;
          if (outside(x, y) < 1) moved += different ? 1 : 0;
          else if (outside(x, y) > 1.38) {
            far++;
            bent += different ? 1 : 0;
          }
        }
      }
      expect(far).toBeGreaterThan(30000);
      expect(moved).toBeGreaterThan(500);
      expect(bent).toBe(0);
    }
  });

  test('uncovers a background with the grain of what is beside it', async () => {
    const { source } = headBeforePosts(20);
    const tensors = analysePortrait(source);
    const still = tensors.still_y.data as Uint8Array;
    const spread = (x0: number, x1: number) => {
      const values: number[] = [];
      for (let y = 200; y < 240; y++) for (let x = x0; x < x1; x++) values.push(still[y * 512 + x]);
      const mean = values.reduce((a, b) => a + b) / values.length;
      return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    };
    // The hair's left edge lies at about 132: left of it the photo, right of it what is behind the hair.
    const beside = spread(60, 70);
    expect(beside).toBeGreaterThan(10);
    expect(spread(134, 144)).toBeGreaterThan(0.25 * beside);
  });

  test('takes the hair along as far as the face', async () => {
    const { source, top } = headBeforePosts();
    const tensors = analysePortrait(source);
    const shift = 0.12 * unitOf(source);
    const edge = (frame: Uint8Array) => {
      const row = Math.round(top + 14) * 512;
      let left = 120;
      while (frame[row + left] > 85 || frame[row + left + 4] > 85) left++;
      return left;
    };
    const moved = edge(await render(tensors, { shift_x: 0.12 })) - edge(await render(tensors));
    expect(Math.abs(moved - shift)).toBeLessThan(1.5);
  });

  test('a small face moves in its own part of the frame only', async () => {
    const image = paint((x, y) => [(x * 3) % 256, (y * 5) % 256, (x + y) % 256]);
    const tensors = analysePortrait({ image, landmarks: meanFace(400, 100, 80) });
    const box = changed(await render(tensors), await render(tensors, { ...AA, yaw: 0.1, blink_left: 1 }));
    expect(box.count).toBeGreaterThan(100);
    expect(box.left).toBeGreaterThan(280);
    expect(box.bottom).toBeLessThan(230);
  });
});

describeWithData('renderer graph on an open mouth', () => {
  test('shuts it without dark spots in its corners', async () => {
    const source = await sourceOf(dataPath('portraits/source_8.png'));
    const rest = await render(analysePortrait(source));
    const u = unitOf(source);
    const luma = (x: number, y: number) => rest[Math.round(y) * 512 + Math.round(x)];
    for (const corner of [61, 291]) {
      const { x, y } = landmark(source, corner);
      const skin = luma(x, y + 0.09 * u);
      let darkest = 255;
      for (let dy = -0.05; dy < 0.05; dy += 0.01) {
        for (let dx = -0.06; dx < 0.06; dx += 0.01) darkest = Math.min(darkest, luma(x + dx * u, y + dy * u));
      }
      expect(darkest).toBeGreaterThan(0.42 * skin);
    }
  });

  test('keeps the teeth of the photo without the dark between and under them', async () => {
    const source = await sourceOf(dataPath('portraits/source_3.jpg'));
    const u = unitOf(source);
    const open = await render(analysePortrait(source), AA);
    const { x, y } = landmark(source, 13);
    let [crumbs, enamel] = [0, 0];
    for (let row = Math.round(y - 0.06 * u); row < y + 0.08 * u; row++) {
      for (let column = Math.round(x - 0.15 * u); column < x + 0.15 * u; column++) {
        const [here, left, right] = [0, -4, 4].map((dx) => open[row * 512 + column + dx]);
        if (here > 140) enamel++;
        if (Math.min(left, right) > 130 && here < 0.75 * Math.min(left, right)) crumbs++;
      }
    }
    expect(enamel).toBeGreaterThan(150);
    expect(crumbs).toBeLessThan(4);
  });

  test('shuts it: the teeth of the photo are gone', async () => {
    const source = await sourceOf(dataPath('portraits/source_3.jpg'));
    const tensors = analysePortrait(source);
    const u = unitOf(source);
    const teeth = (rgb: ArrayLike<number>) => {
      const { x, y } = landmark(source, 13);
      let count = 0;
      for (let row = Math.round(y - 0.05 * u); row < y + 0.12 * u; row++) {
        for (let column = Math.round(x - 0.2 * u); column < x + 0.2 * u; column++) {
          const [r, g, b] = [0, 1, 2].map((c) => rgb[(row * 512 + column) * 3 + c]);
          if (Math.min(r, g, b) > 150 && Math.max(r, g, b) - Math.min(r, g, b) < 30) count++;
        }
      }
      return count;
    };
    const seen = teeth(source.image.data);
    expect(seen).toBeGreaterThan(200);
    const shut: Array<Record<string, number>> = [{}, { lipclose: 1, jaw: 0.1, open: 0.3, press: 1 }];
    for (const pose of shut) {
      expect(teeth(toRgb(await render(tensors, pose)))).toBeLessThan(0.05 * seen);
    }
    expect(teeth(toRgb(await render(tensors, AA)))).toBeGreaterThan(0.3 * seen);
  });
});
