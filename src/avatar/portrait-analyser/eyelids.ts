import { type EyeFrame, fromEye, inEye } from './eye-frame.js';
import { abs, clamp, floor, max, min, mix, smoothSequence, smoothstep } from './math.js';
import { brightness, type Patch, type Photo, type Rect, type Rgb } from './photo.js';

/** One eye's layers over its rectangle: the eyeball behind the opening, and the lid that closes over both. */
export interface EyeLayers {
  readonly ball: Patch;
  /** The closed lid, painted where it lies when the eye is shut. */
  readonly lid: Patch;
  /** Signed distances in pixels, one per pixel: into the opening; above the open lid's edge; above the shut one's. */
  readonly opening: Float32Array;
  readonly aboveOpen: Float32Array;
  readonly aboveShut: Float32Array;
  /** How far the painted lid may replace the skin, 0..1. */
  readonly lidMask: Float32Array;
  /** Colour the lashes darken the lid's edge with, 0..255. */
  readonly lash: Rgb;
}

export function eyeRect(eye: EyeFrame, photo: Photo, margin = 0.1): Rect {
  const half = 1.25 * eye.half + margin * eye.unit;
  const top = eye.upperLid(0) - (0.14 + margin) * eye.unit;
  const bottom = eye.lowerLid(0) + (0.08 + margin) * eye.unit;
  const corners = [-half, half].flatMap((u) => [top, bottom].map((v) => fromEye(eye, u, v)));
  const xs = corners.map((corner) => corner[0]);
  const ys = corners.map((corner) => corner[1]);
  return photo.clip({ x0: min(...xs), y0: min(...ys), x1: max(...xs), y1: max(...ys) });
}

/** Splits an eye into eyeball and lids. The lid does not exist in a photo of an open eye: it is painted from its skin. */
export function cutEye(photo: Photo, eye: EyeFrame, rect: Rect): EyeLayers {
  const ball = photo.patch(rect);
  const lid = photo.patch(rect);
  const count = ball.width * ball.height;
  const opening = new Float32Array(count);
  const aboveOpen = new Float32Array(count);
  const aboveShut = new Float32Array(count);
  const lidMask = new Float32Array(count);
  const skin = lidColours(photo, eye);
  const unit = eye.unit;
  const half = 1.06 * eye.half;
  for (let row = 0; row < ball.height; row++) {
    for (let column = 0; column < ball.width; column++) {
      const at = row * ball.width + column;
      const [u, v] = inEye(eye, rect.x0 + column, rect.y0 + row);
      // The lids are followed a little past the landmarks' corners, where lashes still grow.
      const top = eye.upperLid(u / 1.06);
      const bottom = eye.lowerLid(u / 1.06);
      const fromCorner = (1 - abs(u) / half) * eye.half;
      const hole = min(v - top - 0.5, bottom - v - 0.5, fromCorner * 0.5);
      opening[at] = hole;
      const shut = shutLine(eye, u, top, bottom);
      aboveOpen[at] = top - v;
      aboveShut[at] = shut - v;
      const crease = top - 0.05 * unit;
      lidMask[at] =
        smoothstep(crease - 0.025 * unit, crease + 0.02 * unit, v) * smoothstep(-0.03 * unit, 0.03 * unit, fromCorner);
      if (hole < 1) {
        const inside = max(top + 1.5, min(v, bottom - 1.5));
        const [x, y] = fromEye(eye, clamp(u, -0.92 * half, 0.92 * half), inside);
        if (hole > -0.12 * unit) photo.sample(x, y, ball.rgb, at * 3);
      }
      paintLid(lid, at, skin, eye, u, v, crease, shut);
      if (lidMask[at] > 0) addGrain(photo, lid, at, eye, u, v + bottom - crease + 0.05 * unit);
    }
  }
  return { ball, lid, opening, aboveOpen, aboveShut, lidMask, lash: skin.lash };
}

/** Where the upper lid's edge rests when shut: on the lower lid, which it covers by a hair so that nothing shines through. */
function shutLine(eye: EyeFrame, u: number, top: number, bottom: number): number {
  const t = clamp(1 - (u / eye.half) ** 2, 0, 1);
  return max(top, bottom) + (0.004 + 0.008 * t) * eye.unit;
}

interface LidColours {
  /** Skin above and below the eye per column, `columns` of them across [-half, half]. */
  readonly upper: Rgb[];
  readonly lower: Rgb[];
  readonly lash: Rgb;
}

const COLUMNS = 33;

function lidColours(photo: Photo, eye: EyeFrame): LidColours {
  const unit = eye.unit;
  const upper: Rgb[] = [];
  const lower: Rgb[] = [];
  const margin: Rgb[] = [];
  for (let i = 0; i < COLUMNS; i++) {
    const u = ((i / (COLUMNS - 1)) * 2 - 1) * 1.1 * eye.half;
    const top = eye.upperLid(u);
    const bottom = eye.lowerLid(u);
    const highest = max(eye.browLower(u) + 0.02 * unit, top - 0.1 * unit);
    upper.push(plainSkin(photo, eye, u, highest, max(highest + 1, top - 0.035 * unit)));
    lower.push(plainSkin(photo, eye, u, bottom + 0.035 * unit, bottom + 0.085 * unit));
    if (abs(u) < 0.8 * eye.half) {
      margin.push(photo.at(...fromEye(eye, u, top - 0.008 * unit)));
    }
  }
  smoothColours(upper, 3);
  smoothColours(lower, 3);
  return { upper, lower, lash: lashColour(margin, upper[(COLUMNS - 1) / 2]) };
}

/** The darker part of the open lid's margin (lashes; on a statue just its shade), drawn toward the skin's own dark. */
function lashColour(margin: Rgb[], skin: Rgb): Rgb {
  margin.sort((a, b) => brightness(a) - brightness(b));
  const dark = margin.slice(0, max(1, margin.length >> 2));
  return [0, 1, 2].map((c) => {
    const seen = dark.reduce((sum, colour) => sum + colour[c], 0) / dark.length;
    return mix(seen * 0.85, skin[c] * (brightness(dark[0]) / max(brightness(skin), 1)), 0.75);
  }) as Rgb;
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

function smoothColours(colours: Rgb[], sigma: number): void {
  for (let c = 0; c < 3; c++) {
    const smooth = smoothSequence(
      Float64Array.from(colours, (colour) => colour[c]),
      sigma,
    );
    colours.forEach((colour, i) => {
      colour[c] = smooth[i];
    });
  }
}

/** Gives painted skin the grain of the skin under the eye, without its shapes: what differs from the mean around it. */
function addGrain(photo: Photo, lid: Patch, at: number, eye: EyeFrame, u: number, v: number): void {
  const reach = max(1.5, 0.015 * eye.unit);
  const light = (du: number, dv: number) => brightness(photo.at(...fromEye(eye, u + du, v + dv)));
  const around = (light(reach, 0) + light(-reach, 0) + light(0, reach) + light(0, -reach)) / 4;
  const grain = clamp(light(0, 0) - around, -8, 8);
  for (let c = 0; c < 3; c++) lid.rgb[at * 3 + c] += grain;
}

function paintLid(
  lid: Patch,
  at: number,
  skin: LidColours,
  eye: EyeFrame,
  u: number,
  v: number,
  crease: number,
  shut: number,
): void {
  const column = clamp((u / (1.1 * eye.half) + 1) / 2, 0, 1) * (COLUMNS - 1);
  const left = min(floor(column), COLUMNS - 2);
  const t = column - left;
  const down = clamp((v - crease) / max(shut - crease, 1), 0, 1);
  // A lid is a ball: lit on its upper half, a little darker at the crease and toward the lashes.
  const round = 0.97 + 0.07 * Math.sin(Math.PI * clamp(down * 1.15 - 0.05, 0, 1)) - 0.05 * down * down;
  for (let c = 0; c < 3; c++) {
    const above = mix(skin.upper[left][c], skin.upper[left + 1][c], t);
    const below = mix(skin.lower[left][c], skin.lower[left + 1][c], t);
    lid.rgb[at * 3 + c] = mix(above, below, 0.6 * down) * round;
  }
}
