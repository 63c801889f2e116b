import { type FaceFrame, point2 } from './face-frame.js';
import { FaceOutline } from './face-outline.js';
import { NASOLABIAL_FOLDS } from './landmark-sets.js';
import { abs, bell, hypot, max, smoothstep } from './math.js';
import { alongMouth, fromMouth, inMouth, type MouthFrame } from './mouth-frame.js';
import type { Photo, Rect } from './photo.js';
import type { WarpGrid } from './warp-grid.js';

/** What the renderer graph shades, in its order: folds from nose to mouth with a smile, the hollow under the lower lip. */
export const SHADES = ['fold', 'underLip'] as const;

/** Nodes along one side of the shading fields: twice as fine as the displacements', or folds would be smears. */
export const SHADE_NODES = 129;

/** Change of the skin's light at full strength. */
const FOLD_DARK = -0.075;
const CHEEK_LIGHT = 0.08;
const DIMPLE_DARK = -0.07;
const UNDER_LIP_DARK = -0.16;

/**
 * How much darker (negative) or lighter expression makes the skin, as a share of its light: tensor [shades, nodes, nodes]
 * over the moving square of the photo. A share suits dark and light skin alike.
 */
export function shadeFields(face: FaceFrame, mouth: MouthFrame, grid: WarpGrid): Float32Array {
  const fields = new Float32Array(SHADES.length * SHADE_NODES * SHADE_NODES);
  const outline = new FaceOutline(face);
  const folds = NASOLABIAL_FOLDS.map((indices) => indices.map((index) => inMouth(mouth, ...point2(face, index))));
  const step = grid.size / (SHADE_NODES - 1);
  for (let row = 0; row < SHADE_NODES; row++) {
    for (let column = 0; column < SHADE_NODES; column++) {
      const [x, y] = [grid.x0 + column * step, grid.y0 + row * step];
      const [u, v] = inMouth(mouth, x, y);
      if (abs(u) > 0.8 * mouth.unit || abs(v) > 0.8 * mouth.unit) continue;
      const share = outline.share(x, y) * withinRegion(u / mouth.unit, v / mouth.unit);
      const at = row * SHADE_NODES + column;
      fields[at] = share * foldShade(mouth, folds[u < 0 ? 0 : 1], u, v);
      fields[SHADE_NODES * SHADE_NODES + at] = share * underLipShade(mouth, u, v);
    }
  }
  return fields;
}

/** How far from the mouth, u, the skin is shaded: aside, up and down. */
const ASIDE = 0.6;
const UP = -0.5;
const DOWN = 0.46;

/** Fades out before the region ends: beyond it, nothing is shaded. */
function withinRegion(u: number, v: number): number {
  return (
    smoothstep(ASIDE - 0.03, ASIDE - 0.15, abs(u)) *
    smoothstep(UP + 0.03, UP + 0.13, v) *
    smoothstep(DOWN - 0.02, DOWN - 0.1, v)
  );
}

/** The part of the frame that is shaded, for a face at rest. */
export function shadeRegion(mouth: MouthFrame, photo: Photo): Rect {
  const corners = [-ASIDE, ASIDE].flatMap((u) =>
    [UP, DOWN].map((v) => fromMouth(mouth, u * mouth.unit, v * mouth.unit)),
  );
  const xs = corners.map((corner) => corner[0]);
  const ys = corners.map((corner) => corner[1]);
  return photo.clip({ x0: Math.min(...xs), y0: Math.min(...ys), x1: max(...xs), y1: max(...ys) });
}

/** A fold is dark along its line, sharp on the lip's side; the cheek that is pushed over it catches the light. */
function foldShade(mouth: MouthFrame, line: ReadonlyArray<readonly [number, number]>, u: number, v: number): number {
  const unit = mouth.unit;
  const { distance, outside, along } = nearest(line, u, v);
  const away = distance / unit;
  // Weak at the nose and below the corner, strongest between.
  const strength = smoothstep(-0.02, 0.4, along) * smoothstep(1.02, 0.7, along);
  const dark = FOLD_DARK * bell((away / (outside ? 0.055 : 0.035)) ** 2);
  const light = outside ? CHEEK_LIGHT * bell(((away - 0.13) / 0.08) ** 2) : 0;
  const s = abs(alongMouth(mouth, u));
  const dimple = DIMPLE_DARK * bell(((s - 1.13) / 0.12) ** 2 + (v / (0.05 * unit)) ** 2);
  return strength * (dark + light) + dimple;
}

function underLipShade(mouth: MouthFrame, u: number, v: number): number {
  const unit = mouth.unit;
  const below = (v - mouth.lowerOuter(u)) / unit - 0.03;
  const aside = alongMouth(mouth, u) / 0.62;
  return UNDER_LIP_DARK * bell(aside ** 2 + (below / (below < 0 ? 0.035 : 0.06)) ** 2);
}

/** The nearest point of a line that runs down the face: how far, on which side, and how far along, 0 to 1. */
function nearest(line: ReadonlyArray<readonly [number, number]>, u: number, v: number) {
  let best = { distance: Number.POSITIVE_INFINITY, outside: false, along: 0 };
  for (let i = 0; i + 1 < line.length; i++) {
    const [ax, ay] = line[i];
    const [dx, dy] = [line[i + 1][0] - ax, line[i + 1][1] - ay];
    const squared = max(dx * dx + dy * dy, 1e-9);
    const t = Math.min(1, max(0, ((u - ax) * dx + (v - ay) * dy) / squared));
    const [px, py] = [ax + t * dx, ay + t * dy];
    const distance = hypot(u - px, v - py);
    if (distance < best.distance) {
      best = { distance, outside: abs(u) > abs(px), along: (i + t) / (line.length - 1) };
    }
  }
  return best;
}
