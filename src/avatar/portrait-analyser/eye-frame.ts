import { Curve } from './curve.js';
import { type FaceFrame, point2 } from './face-frame.js';
import type { EyeLandmarks } from './landmark-sets.js';
import { clamp, hypot, max, min } from './math.js';

/** One eye's plane in the picture: `across` from its left to its right corner, `down` square to it; pixels. */
export interface EyeFrame {
  readonly origin: readonly [number, number];
  readonly across: readonly [number, number];
  readonly down: readonly [number, number];
  /** Half the distance of the corners, pixels. */
  readonly half: number;
  readonly unit: number;
  /** V (pixels) of the lid margins and of the brow's lower edge as functions of U (pixels). */
  readonly upperLid: (u: number) => number;
  readonly lowerLid: (u: number) => number;
  readonly browLower: (u: number) => number;
  /** Middle of the brow in this frame, pixels. */
  readonly browMiddle: readonly [number, number];
  /** The opening's greatest height, pixels. */
  readonly height: number;
  /** +1 where the nose lies to the right of this eye, -1 otherwise. */
  readonly noseSide: 1 | -1;
  /** Spectacles are worn. */
  readonly behindGlass: boolean;
}

export function fitEyeFrame(face: FaceFrame, eye: EyeLandmarks, noseSide: 1 | -1, behindGlass: boolean): EyeFrame {
  const unit = face.unit;
  const [ax, ay] = point2(face, eye.upperLid[0]);
  const [bx, by] = point2(face, eye.upperLid[eye.upperLid.length - 1]);
  const length = hypot(bx - ax, by - ay);
  const across: [number, number] = length > 0.05 * unit ? [(bx - ax) / length, (by - ay) / length] : [1, 0];
  const down: [number, number] = [-across[1], across[0]];
  const origin: [number, number] = [(ax + bx) / 2, (ay + by) / 2];
  const toEye = (index: number): [number, number] => {
    const [x, y] = point2(face, index);
    const dx = x - origin[0];
    const dy = y - origin[1];
    return [dx * across[0] + dy * across[1], dx * down[0] + dy * down[1]];
  };
  const half = clamp(length / 2, 0.07 * unit, 0.4 * unit);
  const curve = (indices: readonly number[]) => new Curve(indices.map(toEye)).dense(-unit, unit);
  const upperLid = curve(eye.upperLid);
  const lowerRaw = curve(eye.lowerLid);
  const lowerLid = (u: number) => max(lowerRaw(u), upperLid(u));
  const browRaw = curve(eye.browLower);
  const browLower = (u: number) => min(browRaw(u), upperLid(u) - 0.05 * unit);
  const brow = [...eye.browLower, ...eye.browUpper].map(toEye);
  const mean = (k: 0 | 1) => brow.reduce((sum, p) => sum + p[k], 0) / brow.length;
  let height = 0;
  for (let u = -half; u <= half; u += half / 16) height = max(height, lowerLid(u) - upperLid(u));
  return {
    origin,
    across,
    down,
    half,
    unit,
    upperLid,
    lowerLid,
    browLower,
    browMiddle: [mean(0), mean(1)],
    height,
    noseSide,
    behindGlass,
  };
}

/** The eye's coordinates (U, V) of a picture position, pixels. */
export function inEye(eye: EyeFrame, x: number, y: number): [number, number] {
  const dx = x - eye.origin[0];
  const dy = y - eye.origin[1];
  return [dx * eye.across[0] + dy * eye.across[1], dx * eye.down[0] + dy * eye.down[1]];
}

/** Picture position of a point given in the eye's plane. */
export function fromEye(eye: EyeFrame, u: number, v: number): [number, number] {
  return [eye.origin[0] + u * eye.across[0] + v * eye.down[0], eye.origin[1] + u * eye.across[1] + v * eye.down[1]];
}
