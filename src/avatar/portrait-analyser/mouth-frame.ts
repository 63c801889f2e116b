import { Curve } from './curve.js';
import { type FaceFrame, point2 } from './face-frame.js';
import { LOWER_LIP_OUTER, POINT, UPPER_LIP_OUTER } from './landmark-sets.js';
import type { LipLines, Polyline } from './lip-curve.js';
import { clamp, hypot, max, min } from './math.js';

/** The outer-eye distance is about this many millimetres on an adult. */
export const UNIT_MM = 92;

/**
 * The mouth's own plane in the picture: `across` runs from the left to the right corner, `down` square to it toward
 * the chin; lengths in pixels from a point between the lips.
 */
export interface MouthFrame {
  readonly origin: readonly [number, number];
  readonly across: readonly [number, number];
  readonly down: readonly [number, number];
  /** Distance from the middle of the lips to the inner corner on the left and on the right, pixels. */
  readonly left: number;
  readonly right: number;
  /** u in pixels. */
  readonly unit: number;
  /** V (pixels, down) of the lips' edges as a function of U (pixels, across). */
  readonly upperInner: (u: number) => number;
  readonly lowerInner: (u: number) => number;
  readonly upperOuter: (u: number) => number;
  readonly lowerOuter: (u: number) => number;
  /** Down the face from the origin, in u: nose base (negative) and chin. */
  readonly noseBase: number;
  readonly chin: number;
  /** The source's own gap between the lips in the middle, in u; 0 where the mouth is closed. */
  readonly gap: number;
  readonly open: boolean;
}

export function fitMouthFrame(face: FaceFrame, lips: LipLines): MouthFrame {
  const unit = face.unit;
  const [ax, ay] = point2(face, POINT.innerCornerLeft);
  const [bx, by] = point2(face, POINT.innerCornerRight);
  const length = hypot(bx - ax, by - ay);
  const across: [number, number] =
    length > 0.08 * unit ? [(bx - ax) / length, (by - ay) / length] : planar(face.axes[0], face.axes[1], [1, 0]);
  const down: [number, number] = [-across[1], across[0]];
  const corner = (x: number, y: number) => (x - (ax + bx) / 2) * across[0] + (y - (ay + by) / 2) * across[1];
  const half = max(length / 2, 0.1 * unit);
  // On a turned head the lips' middle is not midway between the corners as seen.
  const [ux, uy] = point2(face, POINT.upperLipMiddle);
  const [lx, ly] = point2(face, POINT.lowerLipMiddle);
  const middle = clamp(corner((ux + lx) / 2, (uy + ly) / 2), -0.45 * half, 0.45 * half);
  const origin: [number, number] = [(ax + bx) / 2 + middle * across[0], (ay + by) / 2 + middle * across[1]];
  const toMouth = (x: number, y: number): [number, number] => {
    const dx = x - origin[0];
    const dy = y - origin[1];
    return [dx * across[0] + dy * across[1], dx * down[0] + dy * down[1]];
  };
  const reach = 2.2 * unit;
  const dense = (line: Polyline) => new Curve(line.map(([x, y]) => toMouth(x, y))).dense(-reach, reach);
  const ring = (indices: readonly number[]) => dense(indices.map((i) => point2(face, i)));
  const upperInner = dense(lips.upper);
  const lowerRaw = dense(lips.lower);
  const lowerInner = lips.open ? (u: number) => max(lowerRaw(u), upperInner(u)) : upperInner;
  const upperRing = ring(UPPER_LIP_OUTER);
  const lowerRing = ring(LOWER_LIP_OUTER);
  const thinnest = 0.025 * unit;
  const v = (index: number) => toMouth(...point2(face, index))[1] / unit;
  return {
    origin,
    across,
    down,
    left: half + middle,
    right: half - middle,
    unit,
    upperInner,
    lowerInner,
    upperOuter: (u) => min(upperRing(u), upperInner(u) - thinnest),
    lowerOuter: (u) => max(lowerRing(u), lowerInner(u) + thinnest),
    noseBase: clamp(v(POINT.noseBase), -0.6, -0.12),
    chin: clamp(v(POINT.chin), 0.28, 1.1),
    gap: lips.open ? max(0, lowerInner(0) - upperInner(0)) / unit : 0,
    open: lips.open,
  };
}

/** The upper lip's tilt against the line of the corners: the teeth lie along it. */
export function lipSlope(mouth: MouthFrame): number {
  const left = -0.6 * mouth.left;
  const right = 0.6 * mouth.right;
  return clamp((mouth.upperInner(right) - mouth.upperInner(left)) / (right - left), -0.3, 0.3);
}

/** Picture position of a point given in the mouth's plane. */
export function fromMouth(mouth: MouthFrame, u: number, v: number): [number, number] {
  return [
    mouth.origin[0] + u * mouth.across[0] + v * mouth.down[0],
    mouth.origin[1] + u * mouth.across[1] + v * mouth.down[1],
  ];
}

/** The mouth's coordinates (U, V) of a picture position, pixels. */
export function inMouth(mouth: MouthFrame, x: number, y: number): [number, number] {
  const dx = x - mouth.origin[0];
  const dy = y - mouth.origin[1];
  return [dx * mouth.across[0] + dy * mouth.across[1], dx * mouth.down[0] + dy * mouth.down[1]];
}

/** Position along the mouth: -1 and 1 at the inner corners, 0 in the middle. */
export function alongMouth(mouth: MouthFrame, u: number): number {
  return u / (u < 0 ? mouth.left : mouth.right);
}

function planar(x: number, y: number, otherwise: [number, number]): [number, number] {
  const length = hypot(x, y);
  return length > 1e-3 ? [x / length, y / length] : otherwise;
}
