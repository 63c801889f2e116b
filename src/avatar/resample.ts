import type { RgbImage } from './image.js';

/** A rectangle of whole output pixels: columns `left`..`right` and rows `top`..`bottom`, the last ones excluded. */
export interface Extent {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** The source pixels one output pixel is made of: consecutive ones from `first` on. */
interface Taps {
  readonly first: number;
  readonly weights: Float32Array;
}

/**
 * The upright square of a picture with its top left corner at (left, top), `size` pixels wide.
 *
 * Catmull-Rom, widened where the square is reduced; a square that lies on the picture's pixels at their own size comes out
 * unchanged. Outside the picture its edge pixels go on.
 */
export function resampleSquare(image: RgbImage, left: number, top: number, side: number, size: number): RgbImage {
  const columns = tapsOf(left, side, size, image.width);
  const rows = tapsOf(top, side, size, image.height);
  const data = new Uint8Array(size * size * 3);
  const rounded = new Uint8ClampedArray(data.buffer);
  // Rows of the picture, resampled to columns of the output, as far down as the output has come.
  const ready = new Map<number, Float32Array>();
  for (let v = 0; v < size; v++) {
    const { first, weights } = rows[v];
    for (const row of ready.keys()) if (row < first) ready.delete(row);
    const sum = new Float32Array(size * 3);
    for (let i = 0; i < weights.length; i++) {
      const row = first + i;
      const line = ready.get(row) ?? resampleRow(image, row, columns);
      ready.set(row, line);
      for (let k = 0; k < sum.length; k++) sum[k] += weights[i] * line[k];
    }
    rounded.set(sum, v * size * 3);
  }
  return { width: size, height: size, data };
}

function resampleRow({ width, data }: RgbImage, row: number, columns: readonly Taps[]): Float32Array {
  const line = new Float32Array(columns.length * 3);
  for (let u = 0; u < columns.length; u++) {
    const { first, weights } = columns[u];
    let [r, g, b] = [0, 0, 0];
    for (let i = 0, at = (row * width + first) * 3; i < weights.length; i++, at += 3) {
      r += weights[i] * data[at];
      g += weights[i] * data[at + 1];
      b += weights[i] * data[at + 2];
    }
    line[u * 3] = r;
    line[u * 3 + 1] = g;
    line[u * 3 + 2] = b;
  }
  return line;
}

/** For each of `size` output pixels along one axis, its source pixels; those beyond an edge count for the edge's. */
function tapsOf(start: number, side: number, size: number, length: number): Taps[] {
  const scale = side / size;
  const stretch = Math.max(1, scale);
  return Array.from({ length: size }, (_, index) => {
    const centre = start + (index + 0.5) * scale - 0.5;
    const low = Math.ceil(centre - 2 * stretch);
    const high = Math.floor(centre + 2 * stretch);
    const clamp = (position: number) => Math.min(length - 1, Math.max(0, position));
    const first = clamp(low);
    const weights = new Float32Array(clamp(high) - first + 1);
    let total = 0;
    for (let position = low; position <= high; position++) {
      const weight = catmullRom((position - centre) / stretch);
      weights[clamp(position) - first] += weight;
      total += weight;
    }
    return { first, weights: weights.map((weight) => weight / total) };
  });
}

function catmullRom(x: number): number {
  const d = Math.abs(x);
  if (d >= 2) return 0;
  return d < 1 ? (1.5 * d - 2.5) * d * d + 1 : ((-0.5 * d + 2.5) * d - 4) * d + 2;
}

/**
 * Blurs what lies outside `inner`, in place: little at its border, fully from a sixteenth of the picture on, so that bars
 * of repeated edge pixels look like an unsharp continuation instead of streaks.
 */
export function blurOutside(image: RgbImage, inner: Extent): void {
  const { width, height, data } = image;
  const radius = Math.max(1, Math.round(width / 20));
  let blurred = Float32Array.from(data);
  // Three box blurs are close to a Gaussian.
  for (let pass = 0; pass < 3; pass++) {
    blurred = blurLines(blurred, height, width * 3, width, 3, radius);
    blurred = blurLines(blurred, width, 3, height, width * 3, radius);
  }
  const reach = width / 16;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const distance = Math.max(inner.left - x, x + 1 - inner.right, inner.top - y, y + 1 - inner.bottom);
      if (distance <= 0) continue;
      const weight = Math.min(1, distance / reach);
      const at = (y * width + x) * 3;
      for (let c = at; c < at + 3; c++) data[c] = Math.round(data[c] + weight * (blurred[c] - data[c]));
    }
  }
}

/** A box blur along lines of RGB values: `lines` of them `lineStep` apart, each of `count` values `step` apart. */
function blurLines(
  source: Float32Array,
  lines: number,
  lineStep: number,
  count: number,
  step: number,
  radius: number,
): Float32Array<ArrayBuffer> {
  const result = new Float32Array(source.length);
  const scale = 1 / (2 * radius + 1);
  for (let line = 0; line < lines; line++) {
    for (let c = 0; c < 3; c++) {
      const base = line * lineStep + c;
      const at = (i: number) => source[base + (i < 0 ? 0 : i < count ? i : count - 1) * step];
      let sum = 0;
      for (let i = -radius; i <= radius; i++) sum += at(i);
      for (let i = 0; i < count; i++) {
        result[base + i * step] = sum * scale;
        sum += at(i + radius + 1) - at(i - radius);
      }
    }
  }
  return result;
}
