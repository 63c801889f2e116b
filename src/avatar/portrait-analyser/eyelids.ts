import { paintClosedLid } from './closed-lid.js';
import { type EyeFrame, fromEye, inEye } from './eye-frame.js';
import { abs, clamp, max, min, mix, smoothstep } from './math.js';
import { brightness, type Patch, type Photo, type Rect, type Rgb } from './photo.js';

/** One eye's layers over its rectangle: the eyeball behind the opening, and the lid that closes over both. */
export interface EyeLayers {
  readonly ball: Patch;
  /** The closed eye's skin, painted where it lies when the eye is shut. */
  readonly lid: Patch;
  /** Signed distances in pixels, one per pixel: into the opening; above the open lid's edge; above the shut one's. */
  readonly opening: Float32Array;
  readonly aboveOpen: Float32Array;
  readonly aboveShut: Float32Array;
  /**
   * How far the painted skin may replace the photo: up to 0.5 rises as the eye shuts (the fold and what is around),
   * from there to 1 as soon as the lid moves (the open lid's lashes and the opening).
   */
  readonly lidMask: Float32Array;
  /** How thick the lashes stand along the lid's edge, 0..1. */
  readonly lashMask: Float32Array;
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
  const count = ball.width * ball.height;
  const opening = new Float32Array(count);
  const aboveOpen = new Float32Array(count);
  const aboveShut = new Float32Array(count);
  const lidMask = new Float32Array(count);
  const lashMask = new Float32Array(count);
  const unit = eye.unit;
  const half = 1.06 * eye.half;
  // The lids are followed a little past the landmarks' corners, where lashes still grow.
  const upper = (u: number) => eye.upperLid(u / 1.06);
  const lower = (u: number) => eye.lowerLid(u / 1.06);
  const shutLine = (u: number) => shutEdge(eye, u, upper(u), lower(u));
  const closed = paintClosedLid(photo, eye, rect, shutLine);
  for (let row = 0; row < ball.height; row++) {
    for (let column = 0; column < ball.width; column++) {
      const at = row * ball.width + column;
      const [u, v] = inEye(eye, rect.x0 + column, rect.y0 + row);
      const top = upper(u);
      const bottom = lower(u);
      const fromCorner = (1 - abs(u) / half) * eye.half;
      const hole = min(v - top - 0.5, bottom - v - 0.5, fromCorner * 0.5);
      opening[at] = hole;
      aboveOpen[at] = top - v;
      aboveShut[at] = shutLine(u) - v;
      const atOnce =
        smoothstep(top - 0.05 * unit, top - 0.02 * unit, v) *
        smoothstep(-0.035 * unit, 0.02 * unit, fromCorner) *
        smoothstep(bottom + 0.03 * unit, bottom + 0.01 * unit, v);
      lidMask[at] = closed.cover[at] * (0.5 + 0.5 * atOnce);
      lashMask[at] = closed.cover[at] * lashThickness(eye, u);
      if (hole < 1) {
        const inside = max(top + 1.5, min(v, bottom - 1.5));
        const [x, y] = fromEye(eye, clamp(u, -0.92 * half, 0.92 * half), inside);
        if (hole > -0.12 * unit) photo.sample(x, y, ball.rgb, at * 3);
      }
    }
  }
  return {
    ball,
    lid: closed.skin,
    opening,
    aboveOpen,
    aboveShut,
    lidMask,
    lashMask,
    lash: lashColour(photo, eye, closed.skin),
  };
}

/** Where the upper lid's edge rests when shut: on the lower lid, which it covers by a hair so that nothing shines through. */
function shutEdge(eye: EyeFrame, u: number, top: number, bottom: number): number {
  const t = clamp(1 - (u / eye.half) ** 2, 0, 1);
  return max(top, bottom) + (0.002 + 0.006 * t) * eye.unit;
}

/** Lashes are thin toward the nose and end a little before the corners. */
function lashThickness(eye: EyeFrame, u: number): number {
  const outward = (-u * eye.noseSide) / eye.half;
  return smoothstep(1.12, 0.8, abs(u) / eye.half) * mix(0.55, 1, smoothstep(-0.9, 0.5, outward));
}

/** The darker part of the open lid's margin (lashes; on a statue just its shade), drawn toward the skin's own dark. */
function lashColour(photo: Photo, eye: EyeFrame, lid: Patch): Rgb {
  const margin: Rgb[] = [];
  for (let u = -0.8 * eye.half; u <= 0.8 * eye.half; u += max(0.5, eye.half / 16)) {
    margin.push(photo.at(...fromEye(eye, u, eye.upperLid(u) - 0.008 * eye.unit)));
  }
  margin.sort((a, b) => brightness(a) - brightness(b));
  const dark = margin.slice(0, max(1, margin.length >> 2));
  const middle = ((lid.height >> 1) * lid.width + (lid.width >> 1)) * 3;
  const skin = lid.rgb.subarray(middle, middle + 3);
  const share = clamp(brightness(dark[0]) / max(brightness(skin), 1), 0.15, 0.8);
  return [0, 1, 2].map((c) => {
    const seen = dark.reduce((sum, colour) => sum + colour[c], 0) / dark.length;
    return mix(min(seen, skin[c]) * 0.85, skin[c] * share, 0.5);
  }) as Rgb;
}
