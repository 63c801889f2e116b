import type { FaceFrame } from './face-frame.js';
import { inFacePlane } from './face-frame.js';
import { FaceOutline } from './face-outline.js';
import { abs, clamp, exp, floor, hypot, log, max, min, smoothstep } from './math.js';
import type { Photo } from './photo.js';

/** Pixels a matte cell spans each way. */
export const MATTE_CELL = 4;

/** The person in the picture, coarse: 0..1 for each cell of MATTE_CELL pixels. */
export interface PersonMatte {
  readonly width: number;
  readonly height: number;
  readonly share: Float32Array;
}

const COLOURS = 6;
const MODEL_ROUNDS = 3;
const SMOOTHING_ROUNDS = 9;

/**
 * Tells the person from the background without a network: colour models of both sides, learned from what the mesh says is
 * face and from the picture's far border, a prior of a head over shoulders, and smoothing that stops at edges.
 */
export function findPerson(photo: Photo, face: FaceFrame): PersonMatte {
  const width = floor(photo.width / MATTE_CELL);
  const height = floor(photo.height / MATTE_CELL);
  const count = width * height;
  const colours = cellColours(photo, width, height);
  const prior = new Float32Array(count);
  const outline = new FaceOutline(face);
  for (let at = 0; at < count; at++) {
    prior[at] = personPrior(face, outline, ...middleOf(at, width));
  }
  const alike = likeness(colours, width, height);
  // What may be hair over the face teaches neither side at first: it would teach the background's colours as the person's.
  const share = prior.map((value, at) => {
    const [, down] = inFacePlane(face, ...middleOf(at, width));
    return 1 / (1 + exp(-value + (value > 0 && value < 6 && down < 0.2 ? 2 : 0)));
  });
  for (let round = 0; round < MODEL_ROUNDS; round++) {
    const person = new ColourModel(colours, (at) => share[at]);
    const ground = new ColourModel(colours, (at) => 1 - share[at]);
    const evidence = prior.map((value, at) => {
      const seen = clamp(person.likelihood(colours, at) - ground.likelihood(colours, at), -6, 6);
      return value + 0.6 * seen;
    });
    smooth(share, evidence, alike, width);
  }
  fillStar(share, width, height, face);
  return { width, height, share };
}

function middleOf(at: number, width: number): [number, number] {
  return [((at % width) + 0.5) * MATTE_CELL, (floor(at / width) + 0.5) * MATTE_CELL];
}

/** Log odds of being person before any colour is seen. */
function personPrior(face: FaceFrame, outline: FaceOutline, x: number, y: number): number {
  const radius = outline.relative(x, y);
  if (radius < 0.98) return 12;
  const [u, v] = inFacePlane(face, x, y);
  // Shoulders widen under the chin; hair and hats rise over the oval.
  const side = abs(u);
  const below = v - 1;
  const shoulders = below > 0 ? 2.2 * smoothstep(0.6 + 1.6 * below, 0.3 + 0.9 * below, side) : 0;
  const hair = (v < 0 ? 3.2 : 2.5) * smoothstep(v < 0 ? 2.35 : 1.5, v < 0 ? 1.25 : 1.1, radius);
  const far =
    v < 0.9
      ? -6 * smoothstep(1.4, 2, hypot(u / 0.8, (v - 0.15) / (v < 0.15 ? 1.6 : 1.1)))
      : -3 * smoothstep(1.4, 2.4, side);
  return max(hair, shoulders) - 1 + far;
}

/** Whatever lies between the face and something of the person is the person's: hair bands, badges, bright partings. */
function fillStar(share: Float32Array, width: number, height: number, face: FaceFrame): void {
  const cx = face.centre[0] / MATTE_CELL;
  const cy = face.centre[1] / MATTE_CELL;
  const source = share.slice();
  const reach = (1.9 * face.unit) / MATTE_CELL;
  const [right, down] = [face.axes[4], face.axes[3]];
  for (let ray = 0; ray < 720; ray++) {
    const [dx, dy] = [Math.cos((ray * Math.PI) / 360), Math.sin((ray * Math.PI) / 360)];
    // Only upward: under the ears there is background between hair, neck and shoulders.
    if (dx * down + dy * right > 0.1) continue;
    let outermost = 0;
    for (let r = reach; r > 0; r -= 0.5) {
      const x = Math.round(cx + r * dx);
      const y = Math.round(cy + r * dy);
      if (x < 0 || y < 0 || x >= width || y >= height) continue;
      const at = y * width + x;
      outermost = max(outermost, source[at]);
      share[at] = max(share[at], outermost);
    }
  }
}

function cellColours(photo: Photo, width: number, height: number): Float32Array {
  const colours = new Float32Array(width * height * 3);
  const rgb: [number, number, number] = [0, 0, 0];
  for (let at = 0; at < width * height; at++) {
    const x0 = (at % width) * MATTE_CELL;
    const y0 = floor(at / width) * MATTE_CELL;
    const sum = [0, 0, 0];
    for (let dy = 0; dy < MATTE_CELL; dy++) {
      for (let dx = 0; dx < MATTE_CELL; dx++) {
        photo.sample(x0 + dx, y0 + dy, rgb);
        for (let c = 0; c < 3; c++) sum[c] += rgb[c];
      }
    }
    const [r, g, b] = sum.map((value) => Math.sqrt(value / MATTE_CELL ** 2 / 255) * 255);
    // Opponent colours: lightness counts less than hue, which shade does not change.
    colours[at * 3] = 0.7 * (0.299 * r + 0.587 * g + 0.114 * b);
    colours[at * 3 + 1] = 1.2 * (r - g);
    colours[at * 3 + 2] = 0.9 * (0.5 * (r + g) - b);
  }
  return colours;
}

/** A few Gaussians of colour, fitted to cells by weight (k-means and a spread each). */
class ColourModel {
  private readonly centres: number[][] = [];
  private readonly spread: number[] = [];
  private readonly part: number[] = [];

  constructor(colours: Float32Array, weight: (at: number) => number) {
    const count = colours.length / 3;
    // Start along the order of lightness: the same picture always gives the same model.
    const order: Array<[number, number]> = [];
    for (let at = 0; at < count; at++) if (weight(at) > 0.6) order.push([colours[at * 3], at]);
    if (order.length === 0) order.push([colours[0], 0]);
    order.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    for (let k = 0; k < COLOURS; k++) {
      const [, at] = order[min(order.length - 1, floor(((k + 0.5) / COLOURS) * order.length))];
      this.centres.push([...colours.subarray(at * 3, at * 3 + 3)]);
    }
    for (let round = 0; round < 8; round++) {
      const sums = Array.from({ length: COLOURS }, () => [0, 0, 0, 0, 0]);
      for (const [, at] of order) {
        const [k, squared] = this.closest(colours, at);
        const w = weight(at);
        for (let c = 0; c < 3; c++) sums[k][c] += w * colours[at * 3 + c];
        sums[k][3] += w;
        sums[k][4] += w * squared;
      }
      const total = sums.reduce((sum, [, , , w]) => sum + w, 0);
      sums.forEach(([r, g, b, w, squared], k) => {
        this.part[k] = (w + 1e-3) / (total + 1e-3);
        this.spread[k] = w > 0 ? max(squared / w / 3, 30) : 30;
        if (w > 0) this.centres[k] = [r / w, g / w, b / w];
      });
    }
  }

  /** Log likelihood of a cell's colour; bounded by a flat chance for colours never seen. */
  likelihood(colours: Float32Array, at: number): number {
    let sum = 1e-7;
    for (let k = 0; k < COLOURS; k++) {
      const variance = this.spread[k];
      sum += (this.part[k] * exp((-0.5 * this.squared(colours, at, k)) / variance)) / variance ** 1.5;
    }
    return log(sum);
  }

  private closest(colours: Float32Array, at: number): [number, number] {
    let best: [number, number] = [0, Number.POSITIVE_INFINITY];
    for (let k = 0; k < COLOURS; k++) {
      const squared = this.squared(colours, at, k);
      if (squared < best[1]) best = [k, squared];
    }
    return best;
  }

  private squared(colours: Float32Array, at: number, k: number): number {
    const centre = this.centres[k];
    let sum = 0;
    for (let c = 0; c < 3; c++) sum += (colours[at * 3 + c] - centre[c]) ** 2;
    return sum;
  }
}

/** The four neighbours after a cell in reading order, with the share of a side that touches; the others mirror them. */
const NEIGHBOURS = [
  [1, 0, 1],
  [0, 1, 1],
  [1, 1, 0.7],
  [-1, 1, 0.7],
] as const;

/** How strongly each cell is drawn to each of its NEIGHBOURS: the more, the more alike their colours are. */
function likeness(colours: Float32Array, width: number, height: number): Float32Array[] {
  return NEIGHBOURS.map(([dx, dy, touch]) => {
    const strength = new Float32Array(width * height);
    for (let y = 0; y + dy < height; y++) {
      for (let x = max(0, -dx); x + dx < width && x < width; x++) {
        const at = y * width + x;
        const next = at + dy * width + dx;
        let squared = 0;
        for (let c = 0; c < 3; c++) squared += (colours[at * 3 + c] - colours[next * 3 + c]) ** 2;
        strength[at] = 1.1 * touch * (0.15 + exp(-squared / 200));
      }
    }
    return strength;
  });
}

/** Mean-field smoothing: a cell is drawn to its neighbours of like colour. */
function smooth(share: Float32Array, evidence: Float32Array, alike: readonly Float32Array[], width: number): void {
  const steps = NEIGHBOURS.map(([dx, dy]) => dy * width + dx);
  for (let round = 0; round < SMOOTHING_ROUNDS; round++) {
    for (let at = 0; at < share.length; at++) {
      let pull = evidence[at];
      for (let k = 0; k < steps.length; k++) {
        const [after, before] = [at + steps[k], at - steps[k]];
        if (after < share.length) pull += alike[k][at] * (2 * share[after] - 1);
        if (before >= 0) pull += alike[k][before] * (2 * share[before] - 1);
      }
      share[at] = 1 / (1 + exp(-clamp(pull, -20, 20)));
    }
  }
}
