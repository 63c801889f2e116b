import type { RgbImage } from '../image.js';
import { ceil, clamp, floor, max, min } from './math.js';

export type Rgb = [number, number, number];

/** A rectangle of pixels: [x0, x1) by [y0, y1). */
export interface Rect {
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
}

/** The source image with bilinear access; positions outside it see its border. Pixel centres are whole numbers. */
export class Photo {
  readonly width: number;
  readonly height: number;
  private readonly data: Uint8Array;

  constructor(image: RgbImage) {
    this.width = image.width;
    this.height = image.height;
    this.data = image.data;
  }

  /** Colour 0..255 at a position in pixels, written to `out[offset..offset+2]`. */
  sample(x: number, y: number, out: Float32Array | Rgb, offset = 0): void {
    const px = clamp(x, 0, this.width - 1);
    const py = clamp(y, 0, this.height - 1);
    const left = min(floor(px), this.width - 2);
    const top = min(floor(py), this.height - 2);
    const fx = px - left;
    const fy = py - top;
    const at = (top * this.width + left) * 3;
    const below = at + this.width * 3;
    const d = this.data;
    for (let c = 0; c < 3; c++) {
      const upper = d[at + c] * (1 - fx) + d[at + 3 + c] * fx;
      const lower = d[below + c] * (1 - fx) + d[below + 3 + c] * fx;
      out[offset + c] = upper * (1 - fy) + lower * fy;
    }
  }

  /** Colour at a position as a fresh triple. */
  at(x: number, y: number): Rgb {
    const out: Rgb = [0, 0, 0];
    this.sample(x, y, out);
    return out;
  }

  /** The rectangle clipped to the picture and widened to even edges, at least two pixels each way (chroma needs pairs). */
  clip(rect: Rect): Rect {
    const x0 = clamp(floor(rect.x0 / 2) * 2, 0, this.width - 2);
    const y0 = clamp(floor(rect.y0 / 2) * 2, 0, this.height - 2);
    return {
      x0,
      y0,
      x1: clamp(ceil(rect.x1 / 2) * 2, x0 + 2, this.width),
      y1: clamp(ceil(rect.y1 / 2) * 2, y0 + 2, this.height),
    };
  }

  /** A copy of the pixels of a rectangle that lies inside the picture. */
  patch(rect: Rect): Patch {
    const patch = new Patch(rect);
    for (let y = rect.y0; y < rect.y1; y++) {
      const from = (y * this.width + rect.x0) * 3;
      patch.rgb.set(this.data.subarray(from, from + patch.width * 3), (y - rect.y0) * patch.width * 3);
    }
    return patch;
  }
}

/** A piece of picture being painted: interleaved RGB, 0..255, not rounded. */
export class Patch {
  readonly rect: Rect;
  readonly width: number;
  readonly height: number;
  readonly rgb: Float32Array;

  constructor(rect: Rect) {
    this.rect = rect;
    this.width = rect.x1 - rect.x0;
    this.height = rect.y1 - rect.y0;
    this.rgb = new Float32Array(this.width * this.height * 3);
  }
}

/** Perceived brightness 0..255 (ITU-R BT.601 weights). */
export function brightness(colour: ArrayLike<number>): number {
  return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2];
}

/** (max - min) / max of a colour, 0 for grey. */
export function saturation(colour: ArrayLike<number>): number {
  const r = colour[0];
  const g = colour[1];
  const b = colour[2];
  const high = max(r, g, b);
  return (high - min(r, g, b)) / max(high, 1);
}
