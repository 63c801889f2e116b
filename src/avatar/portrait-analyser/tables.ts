import { clamp, floor, max, min } from './math.js';
import type { Patch, Rgb } from './photo.js';

/**
 * Entries per pixel, each way. The renderer looks the nearest entry up instead of interpolating: bytes gathered from a
 * table three times as fine cost a tenth of a bilinear sample and look the same.
 */
export const TABLE_SCALE = 3;

// ITU-R BT.601, 8-bit studio range: luma 16..235, chroma 16..240.
const Y_WEIGHTS = [0.256788, 0.504129, 0.097906] as const;
const U_WEIGHTS = [-0.148223, -0.290993, 0.439216] as const;
const V_WEIGHTS = [0.439216, -0.367788, -0.071427] as const;

/** One colour in the tables' terms. */
export function toYuv([r, g, b]: Rgb): [number, number, number] {
  const dot = (weights: readonly [number, number, number]) => weights[0] * r + weights[1] * g + weights[2] * b;
  return [16 + dot(Y_WEIGHTS), 128 + dot(U_WEIGHTS), 128 + dot(V_WEIGHTS)];
}

/** Luma at three entries a pixel, chroma at three entries a pair of pixels; BT.601, limited range. */
export interface ColourTables {
  readonly y: Uint8Array;
  readonly u: Uint8Array;
  readonly v: Uint8Array;
}

/** Tables of a patch with even sides. Entry k of a luma row is the picture at k/3 pixels. */
export function colourTables(patch: Patch): ColourTables {
  const { width, height, rgb } = patch;
  const count = width * height;
  const y = new Float32Array(count);
  const u = new Float32Array(count);
  const v = new Float32Array(count);
  const [yr, yg, yb] = Y_WEIGHTS;
  const [ur, ug, ub] = U_WEIGHTS;
  const [vr, vg, vb] = V_WEIGHTS;
  for (let i = 0; i < count; i++) {
    const r = rgb[i * 3];
    const g = rgb[i * 3 + 1];
    const b = rgb[i * 3 + 2];
    y[i] = 16 + yr * r + yg * g + yb * b;
    u[i] = 128 + ur * r + ug * g + ub * b;
    v[i] = 128 + vr * r + vg * g + vb * b;
  }
  return {
    y: enlarge(y, width, height),
    u: enlargePairs(u, width, height),
    v: enlargePairs(v, width, height),
  };
}

/** A plane of numbers as bytes: 128 is zero, `range` either way fills them. Full and half resolution. */
export function distanceTables(plane: Float32Array, width: number, height: number, range: number) {
  const coded = plane.map((value) => 128 + 127 * clamp(value / range, -1, 1));
  return { full: enlarge(coded, width, height), half: enlargePairs(coded, width, height) };
}

/** A plane of 0..1 as bytes 0..255. Full and half resolution. */
export function coverageTables(plane: Float32Array, width: number, height: number) {
  const coded = plane.map((value) => 255 * clamp(value, 0, 1));
  return { full: enlarge(coded, width, height), half: enlargePairs(coded, width, height) };
}

/** Catmull-Rom-like cubic (a = -0.75, as in OpenCV) at thirds of a pixel; sharper than linear, which matters here. */
function enlarge(plane: Float32Array, width: number, height: number): Uint8Array {
  const wide = width * TABLE_SCALE;
  const high = height * TABLE_SCALE;
  // A third of a pixel on; two thirds on are the same weights backwards.
  const [ta, tb, tc, td] = cubicTaps(1 / TABLE_SCALE);
  const rows = new Float32Array(wide * height);
  for (let row = 0; row < height; row++) {
    const from = row * width;
    let to = row * wide;
    for (let x = 0; x < width; x++) {
      const a = plane[from + (x > 0 ? x - 1 : 0)];
      const b = plane[from + x];
      const c = plane[from + (x + 1 < width ? x + 1 : width - 1)];
      const d = plane[from + (x + 2 < width ? x + 2 : width - 1)];
      rows[to++] = b;
      rows[to++] = ta * a + tb * b + tc * c + td * d;
      rows[to++] = td * a + tc * b + tb * c + ta * d;
    }
  }
  // A clamped array rounds and bounds what is written to it.
  const out = new Uint8ClampedArray(wide * high);
  for (let row = 0; row < height; row++) {
    const above = max(row - 1, 0) * wide;
    const here = row * wide;
    const below = min(row + 1, height - 1) * wide;
    const under = min(row + 2, height - 1) * wide;
    const to = row * TABLE_SCALE * wide;
    for (let x = 0; x < wide; x++) {
      const a = rows[above + x];
      const b = rows[here + x];
      const c = rows[below + x];
      const d = rows[under + x];
      out[to + x] = b;
      out[to + wide + x] = ta * a + tb * b + tc * c + td * d;
      out[to + 2 * wide + x] = td * a + tc * b + tb * c + ta * d;
    }
  }
  return new Uint8Array(out.buffer);
}

function cubicTaps(t: number): [number, number, number, number] {
  const a = -0.75;
  const near = (x: number) => ((a + 2) * x - (a + 3)) * x * x + 1;
  const far = (x: number) => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return [far(1 + t), near(t), near(1 - t), far(2 - t)];
}

/** Means of 2x2 pixels at steps of two thirds of a pixel, linear between; entry 3i is exactly chroma sample i. */
function enlargePairs(plane: Float32Array, width: number, height: number): Uint8Array {
  const wide = (width * TABLE_SCALE) / 2;
  const high = (height * TABLE_SCALE) / 2;
  const means = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const below = y + 1 < height ? width : 0;
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      const beside = x + 1 < width ? 1 : 0;
      means[at] = (plane[at] + plane[at + beside] + plane[at + below] + plane[at + below + beside]) / 4;
    }
  }
  const out = new Uint8ClampedArray(wide * high);
  for (let row = 0; row < high; row++) {
    const py = (row * 2) / TABLE_SCALE;
    const top = min(floor(py), height - 2);
    const fy = min(py - top, 1);
    for (let column = 0; column < wide; column++) {
      const px = (column * 2) / TABLE_SCALE;
      const left = min(floor(px), width - 2);
      const fx = min(px - left, 1);
      const at = top * width + left;
      const upper = means[at] * (1 - fx) + means[at + 1] * fx;
      const lower = means[at + width] * (1 - fx) + means[at + width + 1] * fx;
      out[row * wide + column] = upper * (1 - fy) + lower * fy;
    }
  }
  return new Uint8Array(out.buffer);
}
