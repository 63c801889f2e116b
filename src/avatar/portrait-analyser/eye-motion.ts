import type { Control } from './controls.js';
import { type EyeFrame, inEye } from './eye-frame.js';
import { abs, bell, clamp, max, min, smoothstep } from './math.js';

/** Whether an eye's motions reach a place of the picture. */
export function nearEye(eye: EyeFrame, x: number, y: number): boolean {
  const [u, v] = inEye(eye, x, y);
  return max(abs(u), abs(v)) < eye.unit;
}

/** Brows and the lower lid, as picture-plane displacements in u. */
export function eyeMotion(eye: EyeFrame, x: number, y: number): Partial<Record<Control, [number, number]>> {
  const [u, v] = inEye(eye, x, y);
  const unit = eye.unit;
  const [bu, bv] = eye.browMiddle;
  const lid = eye.upperLid(0) - 0.03 * unit;
  const brow =
    bell(((u - bu) / (0.26 * unit)) ** 2 + ((v - bv + 0.02 * unit) / (0.13 * unit)) ** 2) *
    (v > bv ? 1 - smoothstep(bv, max(lid, bv + 0.03 * unit), v) : 1);
  // The mesh takes a rim for the brow, and what moves the brow bends the rim.
  // A brow close to its eye may not rise faster than the skin between can stretch (the fields must stay invertible).
  const most = eye.behindGlass ? 0.02 : 0.075;
  const rise = min(most, (0.5 * max(lid - bv, 0.03 * unit)) / unit);
  const towardNose = (u * eye.noseSide) / unit;
  const inner = bell((max(0, 0.16 - towardNose) / 0.22) ** 2);
  const below = eye.lowerLid(0);
  const cheek =
    bell((u / (0.17 * unit)) ** 2 + ((v - below - 0.02 * unit) / (0.07 * unit)) ** 2) *
    smoothstep(-0.02 * unit, 0, v - eye.lowerLid(clamp(u, -eye.half, eye.half)) + 0.012 * unit);
  const along = (dx: number, dy: number): [number, number] => [
    dx * eye.across[0] + dy * eye.down[0],
    dx * eye.across[1] + dy * eye.down[1],
  ];
  const squint = along(0, -0.022 * cheek);
  return {
    browUp: along(0, -rise * brow),
    browDown: along(0.03 * brow * inner * eye.noseSide, 0.66 * rise * brow * (0.4 + 0.6 * inner)),
    squint,
    smile: [0.7 * squint[0], 0.7 * squint[1]],
  };
}
