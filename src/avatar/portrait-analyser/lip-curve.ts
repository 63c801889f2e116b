import type { FaceFrame } from './face-frame.js';
import { point2 } from './face-frame.js';
import { LOWER_LIP_INNER, POINT, UPPER_LIP_INNER } from './landmark-sets.js';
import { abs, clamp, floor, hypot, max, min, percentile, smoothSequence } from './math.js';
import { brightness, type Photo } from './photo.js';

/** A polyline in picture pixels from the left to the right inner corner of the mouth. */
export type Polyline = ReadonlyArray<readonly [number, number]>;

/** Where the upper lip ends and where the lower one begins. The same line where the mouth is closed. */
export interface LipLines {
  readonly upper: Polyline;
  readonly lower: Polyline;
  /** The photo shows an open mouth: the lines differ and the source's own gap has to be closed. */
  readonly open: boolean;
}

/** A gap of more than this (in u, 2 mm) between the inner lips counts as an open mouth. */
const OPEN_GAP = 0.022;
/** What must be left of it (in u) between the edges found on the picture. */
const LEAST_SEEN_GAP = 0.015;

/**
 * Finds the lips' inner edges on the picture itself. The mesh is off by a few pixels there, which is enough to paint
 * lip colour on teeth; a closed mouth follows the darkest path between its corners, an open one the edge in redness.
 */
export function findLipLines(photo: Photo, face: FaceFrame): LipLines {
  const [, upperY] = inFace(face, POINT.upperLipMiddle);
  const [, lowerY] = inFace(face, POINT.lowerLipMiddle);
  if (lowerY - upperY > OPEN_GAP) {
    const upper = edgeOfRedness(photo, face, UPPER_LIP_INNER, -1);
    const lower = edgeOfRedness(photo, face, LOWER_LIP_INNER, 1);
    // The mesh opens some closed mouths (statues, deep shadows); their two edges then fall on one another.
    if (middleGap(upper, lower) > LEAST_SEEN_GAP * face.unit) return { upper, lower, open: true };
  }
  const line = darkestPath(photo, face);
  return { upper: line, lower: line, open: false };
}

/** Mean distance of two lines over their middle third, pixels. */
function middleGap(upper: Polyline, lower: Polyline): number {
  const from = floor(upper.length / 3);
  let sum = 0;
  for (let i = from; i < upper.length - from; i++) {
    sum += hypot(lower[i][0] - upper[i][0], lower[i][1] - upper[i][1]) * (lower[i][1] > upper[i][1] ? 1 : -1);
  }
  return sum / (upper.length - 2 * from);
}

function inFace(face: FaceFrame, index: number): [number, number] {
  const [x, y] = point2(face, index);
  const dx = (x - face.centre[0]) / face.unit;
  const dy = (y - face.centre[1]) / face.unit;
  // Only the picture-plane part of the axes: the gap is judged as it is seen.
  return [face.axes[0] * dx + face.axes[1] * dy, face.axes[3] * dx + face.axes[4] * dy];
}

interface SearchBand {
  /** Points of the landmark curve, evenly spaced, and the unit normal pointing down the face. */
  readonly base: Array<[number, number]>;
  readonly normal: readonly [number, number];
}

function searchBand(face: FaceFrame, rings: ReadonlyArray<readonly number[]>, count: number): SearchBand {
  const [ax, ay] = point2(face, POINT.innerCornerLeft);
  const [bx, by] = point2(face, POINT.innerCornerRight);
  const length = max(hypot(bx - ax, by - ay), 1e-6);
  const base: Array<[number, number]> = [];
  for (let i = 0; i < count; i++) {
    const at = (i / (count - 1)) * 10;
    const left = min(floor(at), 9);
    const t = at - left;
    let x = 0;
    let y = 0;
    for (const ring of rings) {
      const [px, py] = point2(face, ring[left]);
      const [qx, qy] = point2(face, ring[left + 1]);
      x += (px * (1 - t) + qx * t) / rings.length;
      y += (py * (1 - t) + qy * t) / rings.length;
    }
    base.push([x, y]);
  }
  return { base, normal: [-(by - ay) / length, (bx - ax) / length] };
}

/** Mean over a small disc-like cross: the pictures are noisy and the search compares single samples. */
function smoothed(
  photo: Photo,
  x: number,
  y: number,
  radius: number,
  measure: (rgb: readonly number[]) => number,
): number {
  let sum = 2 * measure(photo.at(x, y));
  for (const [dx, dy] of [
    [radius, 0],
    [-radius, 0],
    [0, radius],
    [0, -radius],
  ]) {
    sum += measure(photo.at(x + dx, y + dy));
  }
  return sum / 6;
}

/** Dynamic programming: the cheapest row index per column, neighbours at most `reach` rows apart. */
function cheapestPath(cost: Float64Array, columns: number, rows: number, reach: number, bend: number): number[] {
  const total = cost.slice();
  const back = new Int16Array(columns * rows);
  for (let i = 1; i < columns; i++) {
    for (let j = 0; j < rows; j++) {
      let best = Number.POSITIVE_INFINITY;
      for (let k = max(0, j - reach); k <= min(rows - 1, j + reach); k++) {
        const candidate = total[(i - 1) * rows + k] + bend * abs(k - j);
        if (candidate < best) {
          best = candidate;
          back[i * rows + j] = k;
        }
      }
      total[i * rows + j] += best;
    }
  }
  let row = 0;
  for (let j = 1; j < rows; j++) if (total[(columns - 1) * rows + j] < total[(columns - 1) * rows + row]) row = j;
  const path = new Array<number>(columns);
  for (let i = columns - 1; i >= 0; i--) {
    path[i] = row;
    row = back[i * rows + row];
  }
  return path;
}

function shifted(band: SearchBand, offsets: Float64Array, cornerSlope: number): Polyline {
  const last = band.base.length - 1;
  return band.base.map(([x, y], i) => {
    const t = i / last;
    const free = clamp(min(t, 1 - t) * cornerSlope, 0, 1);
    return [x + offsets[i] * free * band.normal[0], y + offsets[i] * free * band.normal[1]] as const;
  });
}

function darkestPath(photo: Photo, face: FaceFrame): Polyline {
  const columns = 64;
  const rows = 21;
  const band = searchBand(face, [UPPER_LIP_INNER, LOWER_LIP_INNER], columns);
  const reach = 0.035 * face.unit;
  const offset = (j: number) => ((j / (rows - 1)) * 2 - 1) * reach;
  const radius = clamp(face.unit / 110, 0.5, 1.5);
  const cost = new Float64Array(columns * rows);
  let low = Number.POSITIVE_INFINITY;
  let high = 0;
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j < rows; j++) {
      const [x, y] = band.base[i];
      const value = smoothed(photo, x + offset(j) * band.normal[0], y + offset(j) * band.normal[1], radius, brightness);
      cost[i * rows + j] = value;
      low = min(low, value);
      high = max(high, value);
    }
  }
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j < rows; j++) {
      const away = offset(j) / reach;
      cost[i * rows + j] = (cost[i * rows + j] - low) / (high - low + 1e-6) + 0.05 * away * away;
    }
  }
  const path = cheapestPath(cost, columns, rows, 1, 0.03);
  return shifted(band, smoothSequence(Float64Array.from(path, offset), 2), 8);
}

/** Redness less some brightness (CIE Lab, in the 8-bit scale): rises from teeth or dark to lip. */
function redness(rgb: readonly number[]): number {
  const [lightness, a] = labLightnessAndA(rgb);
  return a - 0.1 * lightness;
}

/**
 * The inner edge of an open lip: along the normal from the gap into the lip redness must rise.
 *
 * @param side -1 for the upper lip (outward is up the face), +1 for the lower one
 */
function edgeOfRedness(photo: Photo, face: FaceFrame, ring: readonly number[], side: -1 | 1): Polyline {
  const columns = 48;
  const rows = side > 0 ? 33 : 25;
  const band = searchBand(face, [ring], columns);
  const u = face.unit;
  // The lower inner ring of the mesh tends to sit on the teeth, so it may look further outward than the upper one.
  const inward = -0.022 * u;
  const outward = (side > 0 ? 0.09 : 0.036) * u;
  const offset = (j: number) => (inward + ((outward - inward) * j) / (rows - 1)) * side;
  const radius = clamp(u / 100, 0.5, 1.7);
  const values = new Float64Array(columns * rows);
  for (let i = 0; i < columns; i++) {
    const [x, y] = band.base[i];
    for (let j = 0; j < rows; j++) {
      const at = offset(j);
      values[i * rows + j] = smoothed(photo, x + at * band.normal[0], y + at * band.normal[1], radius, redness);
    }
  }
  const gradient = new Float64Array(columns * rows);
  const steps: number[] = [];
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j < rows; j++) {
      const above = min(j + 1, rows - 1);
      const below = max(j - 1, 0);
      const g = (values[i * rows + above] - values[i * rows + below]) / (above - below);
      gradient[i * rows + j] = g;
      steps.push(abs(g));
    }
  }
  const scale = max(2, percentile(steps, 0.97));
  const cost = gradient.map((g, at) => {
    const away = offset(at % rows) / ((side > 0 ? 0.075 : 0.05) * u);
    return -g / scale + 0.45 * away * away;
  });
  const path = cheapestPath(cost, columns, rows, 2, 0.22);
  return shifted(band, smoothSequence(Float64Array.from(path, offset), 3), 6);
}

/** L* and a* of an sRGB colour scaled to 0..255 with 128 as a* = 0 (CIE 1976, D65). */
function labLightnessAndA(rgb: readonly number[]): [number, number] {
  const linear = (v: number) => {
    const t = v / 255;
    return t <= 0.04045 ? t / 12.92 : ((t + 0.055) / 1.055) ** 2.4;
  };
  const r = linear(rgb[0]);
  const g = linear(rgb[1]);
  const b = linear(rgb[2]);
  const root = (t: number) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const fx = root((0.412453 * r + 0.35758 * g + 0.180423 * b) / 0.950456);
  const fy = root(0.212671 * r + 0.71516 * g + 0.072169 * b);
  return [(116 * fy - 16) * 2.55, 500 * (fx - fy) + 128];
}
