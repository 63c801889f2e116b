import { type EyeFrame, fromEye, inEye } from './eye-frame.js';
import { abs, bell, clamp, exp, max, min, mix, percentile, smoothSequence, smoothstep } from './math.js';
import { brightness, type Patch, type Photo, type Rect, type Rgb } from './photo.js';
import { fillSmoothly } from './smooth-fill.js';

/** The eye as it looks shut, over its rectangle. */
export interface ClosedLid {
  /** The photo without the eye: skin all over, with the lid's shading. */
  readonly skin: Patch;
  /** How far the painted skin may replace the photo when the eye is shut, 0..1 for each pixel. */
  readonly cover: Float32Array;
}

/** Above the open lid and below the lower one, u: what the painted skin reaches over. */
const REACH_UP = 0.12;
const REACH_DOWN = 0.06;
/** Darker than this part of the skin near by is hair, a rim or make-up. */
const NOT_SKIN = 0.72;
/** A shut lid's light against the cheek's, the most it may be lit against its socket, and its likeness to the cheek. */
const CHEEK_LIGHT = 0.97;
const MOST_LIT = 1.35;
const LIKE_CHEEK = 0.55;
/** Darker than this part of it is a rim or brow that lies in front of the lid. */
const IN_FRONT = 0.5;

/**
 * Paints the closed eye. No photo of an open eye shows that skin, but all of it lies between skin that is seen: above the
 * fold, under the lower lashes, beside the corners. A smooth surface between those colours has the face's own tint
 * and light, and leaves nothing of the socket's outline; the lid's roundness and its fold are shaded onto it.
 */
export function paintClosedLid(photo: Photo, eye: EyeFrame, rect: Rect, shutLine: (u: number) => number): ClosedLid {
  const skin = photo.patch(rect);
  const { width, height } = skin;
  const cover = new Float32Array(width * height);
  const light = new Float32Array(width * height);
  const known = new Uint8Array(width * height);
  const place = (at: number) => inEye(eye, rect.x0 + (at % width), rect.y0 + Math.floor(at / width));
  for (let at = 0; at < cover.length; at++) {
    const [u, v] = place(at);
    cover[at] = reach(eye, u, v);
    light[at] = brightness(skin.rgb.subarray(at * 3, at * 3 + 3));
    known[at] = cover[at] === 0 && v > eye.browLower(u) + 0.02 * eye.unit ? 1 : 0;
  }
  dropDark(known, light, width, clamp(Math.round(0.045 * eye.unit), 1, 12));
  const photoPlanes = [0, 1, 2].map((c) => skin.rgb.filter((_, i) => i % 3 === c));
  const fill = () =>
    photoPlanes.map((plane) => {
      const filled = plane.slice();
      fillSmoothly(filled, known, width, height);
      return filled;
    });
  pinSocket(photo, eye, rect, photoPlanes, fill(), known);
  const planes = fill().map((plane) => soften(plane, known, width, height));
  const kept = keepInFront(cover, light, planes, place, eye, width);
  const cheek = cheekColour(photo, eye);
  for (let at = 0; at < cover.length; at++) {
    if (cover[at] === 0) continue;
    const [u, v] = place(at);
    const shade = lidShade(eye, u, v, shutLine(u));
    const grain = grainUnder(photo, eye, u, v);
    const lit = litColour([planes[0][at], planes[1][at], planes[2][at]], cheek, onBall(eye, u, v, shutLine(u)));
    for (let c = 0; c < 3; c++) skin.rgb[at * 3 + c] = lit[c] * shade + grain;
    cover[at] *= 1 - kept[at];
  }
  return { skin, cover };
}

/** How far from the eye the painted skin goes: 1 on the lids, 0 at the brow, under the lower lid and beside the corners. */
function reach(eye: EyeFrame, u: number, v: number): number {
  const unit = eye.unit;
  const top = eye.upperLid(u);
  const highest = max(eye.browLower(u) + 0.015 * unit, top - REACH_UP * unit);
  const lowest = eye.lowerLid(u) + REACH_DOWN * unit;
  const aside = abs(u) - eye.half;
  return (
    smoothstep(highest, min(highest + 0.035 * unit, top - 0.015 * unit), v) *
    smoothstep(lowest, lowest - 0.03 * unit, v) *
    smoothstep(0.085 * unit, 0.02 * unit, aside)
  );
}

/**
 * Makes the skin between brow and lid known along one line: an eye lies deeper than what is around it, or under a fold
 * that catches the light, and the fill alone would not know. Half its colour stays the fill's: much of it is the fold.
 */
function pinSocket(
  photo: Photo,
  eye: EyeFrame,
  rect: Rect,
  planes: readonly Float32Array[],
  filled: readonly Float32Array[],
  known: Uint8Array,
): void {
  const width = rect.x1 - rect.x0;
  const height = rect.y1 - rect.y0;
  const unit = eye.unit;
  const columns = 25;
  const colours: Rgb[] = [];
  const lines: number[] = [];
  for (let i = 0; i < columns; i++) {
    const u = ((i / (columns - 1)) * 2 - 1) * 0.9 * eye.half;
    const top = eye.upperLid(u);
    const highest = max(eye.browLower(u) + 0.02 * unit, top - 0.1 * unit);
    const lowest = max(highest + 1, top - 0.035 * unit);
    colours.push(plainSkin(photo, eye, u, highest, lowest));
    lines.push((highest + lowest) / 2);
  }
  for (let c = 0; c < 3; c++) {
    const line = smoothSequence(
      Float64Array.from(colours, (colour) => colour[c]),
      3,
    );
    for (let i = 0; i < columns; i++) colours[i][c] = line[i];
  }
  for (let i = 0; i < columns; i++) {
    const u = ((i / (columns - 1)) * 2 - 1) * 0.9 * eye.half;
    const [x, y] = fromEye(eye, u, lines[i]);
    const column = Math.round(x) - rect.x0;
    const row = Math.round(y) - rect.y0;
    if (column < 0 || row < 0 || column >= width || row >= height) continue;
    const at = row * width + column;
    for (let c = 0; c < 3; c++) planes[c][at] = mix(filled[c][at], colours[i][c], 0.5);
    known[at] = 1;
  }
}

/** Mean of a short run down the face without lashes, rims and reflections. */
function plainSkin(photo: Photo, eye: EyeFrame, u: number, from: number, to: number): Rgb {
  const samples: Rgb[] = [];
  const steps = 8;
  for (let i = 0; i <= steps; i++) samples.push(photo.at(...fromEye(eye, u, mix(from, to, i / steps))));
  samples.sort((a, b) => brightness(b) - brightness(a));
  // The brightest may be a reflection; what is far darker than skin is hair, liner or a rim.
  const least = 0.72 * brightness(samples[1]);
  const kept = samples.slice(1).filter((colour) => brightness(colour) >= least);
  return [0, 1, 2].map((c) => kept.reduce((sum, colour) => sum + colour[c], 0) / kept.length) as Rgb;
}

/**
 * Takes lashes, liner and rims out of what is known: much darker than the lightest pixel near by. A socket's shade is
 * as dark, but broad, and stays.
 */
function dropDark(known: Uint8Array, light: Float32Array, width: number, reach: number): void {
  const height = known.length / width;
  const spread = (plane: Float32Array, pick: (a: number, b: number) => number) => {
    const rows = plane.slice();
    const out = plane.slice();
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        let value = plane[y * width + x];
        for (let k = max(0, x - reach); k <= min(width - 1, x + reach); k++) value = pick(value, plane[y * width + k]);
        rows[y * width + x] = value;
      }
    }
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        let value = rows[y * width + x];
        for (let k = max(0, y - reach); k <= min(height - 1, y + reach); k++) value = pick(value, rows[k * width + x]);
        out[y * width + x] = value;
      }
    }
    return out;
  };
  // Morphological closing: what thin dark things lie on.
  const without = spread(spread(light, max), min);
  for (let at = 0; at < known.length; at++) if (light[at] < NOT_SKIN * without[at]) known[at] = 0;
}

/** The known values carry the photo's grain, which would streak into the fill: a small mean of the whole plane. */
function soften(plane: Float32Array, known: Uint8Array, width: number, height: number): Float32Array {
  const out = plane.slice();
  for (let y = 2; y < height - 2; y++) {
    for (let x = 2; x < width - 2; x++) {
      const at = y * width + x;
      if (known[at]) continue;
      let sum = 0;
      for (let dy = -2; dy <= 2; dy++) for (let dx = -2; dx <= 2; dx++) sum += plane[at + dy * width + dx];
      out[at] = sum / 25;
    }
  }
  return out;
}

/**
 * What lies in front of the lid stays there: a spectacle rim or hair of the brow that reaches into the painted area from
 * above. 1 for such pixels, with a soft rim.
 */
function keepInFront(
  cover: Float32Array,
  light: Float32Array,
  planes: readonly Float32Array[],
  place: (at: number) => [number, number],
  eye: EyeFrame,
  width: number,
): Float32Array {
  const dark = new Uint8Array(cover.length);
  const queue: number[] = [];
  for (let at = 0; at < cover.length; at++) {
    const [u, v] = place(at);
    const above = v < eye.upperLid(u) - 0.03 * eye.unit;
    const around = brightness([planes[0][at], planes[1][at], planes[2][at]]);
    if (above && light[at] < IN_FRONT * around) dark[at] = 1;
    if (dark[at] && cover[at] < 0.02 && v < eye.upperLid(u) - 0.06 * eye.unit) queue.push(at);
  }
  // Only what goes on outside: a dark fold or liner within the area belongs to the open eye.
  const front = new Float32Array(cover.length);
  for (const at of queue) front[at] = 1;
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    for (const next of [at - 1, at + 1, at - width, at + width]) {
      if (dark[next] && !front[next]) {
        front[next] = 1;
        queue.push(next);
      }
    }
  }
  return front.map((value, at) => {
    let most = value;
    for (const next of [at - 1, at + 1, at - width, at + width]) most = max(most, 0.6 * (front[next] ?? 0));
    return most;
  });
}

/** Median colour of the skin under the eye, below the rings that many eyes have. */
function cheekColour(photo: Photo, eye: EyeFrame): Rgb {
  const channels: [number[], number[], number[]] = [[], [], []];
  for (let s = -0.7; s <= 0.7; s += 0.1) {
    const u = s * eye.half;
    for (let down = 0.11; down <= 0.19; down += 0.02) {
      const colour = photo.at(...fromEye(eye, u, eye.lowerLid(u) + down * eye.unit));
      for (let c = 0; c < 3; c++) channels[c].push(colour[c]);
    }
  }
  return channels.map((values) => percentile(values, 0.5)) as Rgb;
}

/**
 * A shut lid lies on the eyeball, out in the light; the skin it is painted from lies in the socket's shade. It takes a
 * part of the cheek's light and tint, as far as `share` says, and never gets darker.
 */
function litColour(fill: Rgb, cheek: Rgb, share: number): Rgb {
  const here = max(brightness(fill), 1);
  const wanted = clamp(CHEEK_LIGHT * brightness(cheek), here, MOST_LIT * here);
  const scale = wanted / max(brightness(cheek), 1);
  const most = LIKE_CHEEK * share * smoothstep(1, 1.12, wanted / here);
  return fill.map((c, k) => mix(c, cheek[k] * scale, most)) as Rgb;
}

/** How far a place lies on the shut lid's round part: 1 on its height, dying out to the fold, the lashes and the corners. */
function onBall(eye: EyeFrame, u: number, v: number, shut: number): number {
  const fold = foldLine(eye, u);
  const half = max(0.62 * (shut - fold), 0.03 * eye.unit);
  return bell((u / (0.85 * eye.half)) ** 2 + ((v - mix(fold, shut, 0.5)) / half) ** 2);
}

/** 1 in the middle of the eye, 0 at its corners. */
function between(eye: EyeFrame, u: number): number {
  return Math.sqrt(clamp(1 - (u / (1.12 * eye.half)) ** 2, 0, 1));
}

/** The fold of a shut lid lies a little lower than that of the open one, and flatter. */
function foldLine(eye: EyeFrame, u: number): number {
  return mix(eye.upperLid(u), eye.upperLid(0), 0.3) - 0.03 * eye.unit;
}

/** Light on the shut lid: round over the eyeball, dark in its fold, in the corners and toward the lashes. */
function lidShade(eye: EyeFrame, u: number, v: number, shut: number): number {
  const unit = eye.unit;
  const fold = foldLine(eye, u);
  const middle = between(eye, u);
  const ball = mix(fold, shut, 0.42);
  const round = 0.045 * bell((u / (0.7 * eye.half)) ** 2 + ((v - ball) / (0.05 * unit)) ** 2);
  const crease = -0.1 * middle * bell(((v - fold) / ((v < fold ? 0.024 : 0.014) * unit)) ** 2);
  const lashes = -0.12 * exp(-abs(shut - v) / (0.022 * unit)) * smoothstep(1.15 * eye.half, 0.7 * eye.half, abs(u));
  const corner = -0.05 * bell(((abs(u) - eye.half) / (0.05 * unit)) ** 2 + ((v - shut) / (0.05 * unit)) ** 2);
  // Under the rim of spectacles it is dark.
  const rim = eye.behindGlass ? -0.2 * smoothstep(fold + 0.05 * unit, fold - 0.05 * unit, v) : 0;
  return 1 + round + crease + lashes + corner + rim;
}

/** Grain of the cheek without its shapes: what differs there a little from the mean around. */
function grainUnder(photo: Photo, eye: EyeFrame, u: number, v: number): number {
  const step = max(1.5, 0.015 * eye.unit);
  const from = v + eye.lowerLid(0) - eye.upperLid(0) + 0.2 * eye.unit;
  const light = (du: number, dv: number) => brightness(photo.at(...fromEye(eye, u + du, from + dv)));
  const around = (light(step, 0) + light(-step, 0) + light(0, step) + light(0, -step)) / 4;
  const grain = light(0, 0) - around;
  return grain * bell((grain / 9) ** 2);
}
