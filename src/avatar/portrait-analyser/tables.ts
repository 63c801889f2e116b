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

/** Luma and the two planes of chroma, BT.601, limited range. */
export interface Colours {
  readonly luma: Uint8Array;
  readonly chroma: readonly [Uint8Array, Uint8Array];
}

/**
 * A patch to be looked up: luma as a table of places a third of a pixel apart (see `enlarge`), chroma as pictures of the
 * patch's size. Chroma at a pixel is the mean of the four pixels that begin there: what a chroma sample of the frame
 * covers when its upper left pixel comes from that place.
 */
export function colourTables({ width, height, rgb }: Patch): Colours {
  const { y, u, v } = yuvPlanes(rgb, width * height);
  return {
    luma: enlarge(y, width, height),
    chroma: [toBytes(means(u, width, height)), toBytes(means(v, width, height))],
  };
}

/** A patch with even sides as it is in a frame: luma, and chroma at half the size. */
export function framePlanes({ width, height, rgb }: Patch): Colours {
  const { y, u, v } = yuvPlanes(rgb, width * height);
  const halved = (plane: Float32Array) => {
    const whole = means(plane, width, height);
    const half = new Float32Array((width * height) / 4);
    for (let i = 0; i < half.length; i++) {
      const row = floor(i / (width / 2));
      half[i] = whole[2 * row * width + 2 * (i % (width / 2))];
    }
    return toBytes(half);
  };
  return { luma: toBytes(y), chroma: [halved(u), halved(v)] };
}

/** Rounded and bounded. */
function toBytes(plane: Float32Array): Uint8Array {
  return new Uint8Array(Uint8ClampedArray.from(plane).buffer);
}

function yuvPlanes(rgb: Float32Array, count: number) {
  const [y, u, v] = [new Float32Array(count), new Float32Array(count), new Float32Array(count)];
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
  return { y, u, v };
}

/** A plane of numbers as a table of bytes: 128 is zero, `range` either way fills them. */
export function distanceTable(plane: Float32Array, width: number, height: number, range: number): Uint8Array {
  return enlarge(
    plane.map((value) => 128 + 127 * clamp(value / range, -1, 1)),
    width,
    height,
  );
}

/** A plane of 0..1 as a table of bytes 0..255. */
export function coverageTable(plane: Float32Array, width: number, height: number): Uint8Array {
  return enlarge(
    plane.map((value) => 255 * clamp(value, 0, 1)),
    width,
    height,
  );
}

/** For each pixel the mean of it and the three to its right and below. */
function means(plane: Float32Array, width: number, height: number): Float32Array {
  const out = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const below = y + 1 < height ? width : 0;
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      const beside = x + 1 < width ? 1 : 0;
      out[at] = (plane[at] + plane[at + beside] + plane[at + below] + plane[at + below + beside]) / 4;
    }
  }
  return out;
}

/**
 * Nine pictures, one after another: shifted by no, one and two thirds of a pixel across, then all of these a third further down.
 * Catmull-Rom-like cubic (a = -0.75, as in OpenCV); sharper than linear, which matters here.
 */
function enlarge(plane: Float32Array, width: number, height: number): Uint8Array {
  const wide = width * TABLE_SCALE;
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
  const out = new Uint8ClampedArray(wide * height * TABLE_SCALE);
  const size = width * height;
  for (let row = 0; row < height; row++) {
    const above = max(row - 1, 0) * wide;
    const here = row * wide;
    const below = min(row + 1, height - 1) * wide;
    const under = min(row + 2, height - 1) * wide;
    for (let x = 0; x < wide; x++) {
      const a = rows[above + x];
      const b = rows[here + x];
      const c = rows[below + x];
      const d = rows[under + x];
      const to = (x % TABLE_SCALE) * size + row * width + floor(x / TABLE_SCALE);
      out[to] = b;
      out[to + TABLE_SCALE * size] = ta * a + tb * b + tc * c + td * d;
      out[to + 2 * TABLE_SCALE * size] = td * a + tc * b + tb * c + ta * d;
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
