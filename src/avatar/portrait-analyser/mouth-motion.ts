import { CONTROLS, type Control, JAW_DROP, LIP_LIFT } from './controls.js';
import { closingOverlap, upperClosing, upperPartOfGap } from './lip-closing.js';
import { abs, bell, clamp, max, min, mix, sign, smoothstep } from './math.js';
import { alongMouth, inMouth, type MouthFrame } from './mouth-frame.js';

/** The corners of an open-mouthed photo are lifted this much at rest, u: a contented rest. */
const CORNER_LIFT = 0.014;

/** Displacement of one point in the mouth's plane, dx and dy in u per control. */
export type Motion = Record<Control, [number, number]>;

/** Everything a formula needs to know of a point near the mouth; lengths in u. */
interface MouthPoint {
  /** Along the mouth, -1..1 between the inner corners, and its absolute value. */
  readonly s: number;
  readonly reach: number;
  readonly y: number;
  /** Into the lip from its inner edge (0 in and beyond the gap, growing outward), and the lip's thickness there. */
  readonly into: number;
  readonly thickness: number;
  /** Half width of the mouth on this side. */
  readonly half: number;
  readonly gap: number;
  /** The upper lip's part of the gap, closing it. */
  readonly upperPart: number;
  readonly behindGlass: boolean;
  /** 0 at the ears' depth, 1 at the lips'. */
  readonly forward: number;
}

/** How a place moves with each control, as part of the upper and of the lower skin. `forward`: 0 at the ears' depth, 1 at the lips'. */
export function mouthMotion(
  mouth: MouthFrame,
  x: number,
  y: number,
  forward: number,
  behindGlass: boolean,
): [Motion, Motion] {
  const [u, v] = inMouth(mouth, x, y);
  const unit = mouth.unit;
  const s = alongMouth(mouth, u);
  const upperEdge = mouth.upperInner(u);
  const lowerEdge = mouth.lowerInner(u);
  const shared = {
    s,
    reach: abs(s),
    y: v / unit,
    half: (u < 0 ? mouth.left : mouth.right) / unit,
    gap: mouth.open && abs(s) < 1 ? max(0, lowerEdge - upperEdge) / unit : 0,
    upperPart: mouth.open && abs(s) < 1 ? upperPartOfGap(mouth, u) : 0,
    forward,
    behindGlass,
  };
  const upper = upperMotion(mouth, {
    ...shared,
    into: max(0, upperEdge - v) / unit,
    thickness: (upperEdge - mouth.upperOuter(u)) / unit,
  });
  const lower = lowerMotion(mouth, {
    ...shared,
    into: max(0, v - lowerEdge) / unit,
    thickness: (mouth.lowerOuter(u) - lowerEdge) / unit,
  });
  // Beside the corners there is one skin: both layers run into a mean that turns from one to the other at lip height.
  const beside = smoothstep(0.97, 1.3, shared.reach);
  if (beside > 0) {
    const below = smoothstep(-0.06, 0.1, shared.y - (upperEdge + lowerEdge) / (2 * unit));
    for (const control of CONTROLS) {
      for (let k = 0 as 0 | 1; k < 2; k++) {
        const common = mix(upper[control][k], lower[control][k], below);
        upper[control][k] = mix(upper[control][k], common, beside);
        lower[control][k] = mix(lower[control][k], common, beside);
      }
    }
  }
  return [upper, lower];
}

/** Share of the jaw's drop that cheeks, jaw line and chin take: none at the ears, dying out under the chin. */
function jawShare(mouth: MouthFrame, p: MouthPoint): number {
  const onset = smoothstep(mouth.noseBase + 0.02, 0.06, p.y);
  const side = 1 - 0.75 * smoothstep(0.75, 1.9, p.reach);
  const neck = 1 - smoothstep(mouth.chin + 0.03, mouth.chin + 0.45, p.y);
  return onset * p.forward * side * neck;
}

/** Motions both lips share: sideways pulls and what follows the distance from the mouth's middle. */
function commonMotion(p: MouthPoint): {
  pull: (strength: number, spread: number) => number;
  gather: (strength: number) => number;
  near: (spread: number) => number;
} {
  const bounded = clamp(p.s, -1.6, 1.6);
  const near = (spread: number) => bell((p.s * p.s) / (spread * spread) + (p.y / (p.half * spread)) ** 2);
  // Rounding draws the corners in and leaves the middle wide: an opening pointed at both ends becomes an ellipse.
  const gathered =
    sign(p.s) * min(p.reach, 1) ** 2 * bell((max(0, p.reach - 1) / 0.8) ** 2 + (p.y / (1.6 * p.half)) ** 2);
  return {
    near,
    pull: (strength, spread) => strength * p.half * bounded * near(spread),
    gather: (strength) => strength * p.half * gathered,
  };
}

/** The corners of an open-mouthed photo, a little up at rest. */
function cornerLift(mouth: MouthFrame, p: MouthPoint, near: (spread: number) => number): number {
  return mouth.open ? CORNER_LIFT * min(p.reach, 1) ** 2 * near(1.5) : 0;
}

/** Rounded lips do not smile: where the photo does, its corners come down to the height of the middle. */
function straighten(mouth: MouthFrame, p: MouthPoint, near: (spread: number) => number): number {
  const sag = clamp(mouth.upperInner(0) / mouth.unit + upperClosing(mouth) - 0.01, 0, 0.1);
  return 1.5 * sag * min(p.reach, 1) ** 2 * near(1.4);
}

/** A smile lifts the corners, and the middle of the lips hardly. */
function smileLift(p: MouthPoint, near: (spread: number) => number): number {
  return -(0.01 + 0.075 * min(p.reach, 1) ** 2) * near(2.6) * underEyes(p);
}

/** A smile ends under the eyes: their opening must not leave the eyeballs behind, nor a rim bend. */
function underEyes(p: MouthPoint): number {
  return smoothstep(p.behindGlass ? -0.4 : -0.62, p.behindGlass ? -0.15 : -0.3, p.y);
}

/** A lip-thickness motion: grows through the lip and dies out in the skin behind it. */
function throughLip(p: MouthPoint): number {
  return min(p.into, p.thickness) * bell((max(0, p.into - p.thickness) / 0.07) ** 2);
}

function lowerMotion(mouth: MouthFrame, p: MouthPoint): Motion {
  const { pull, gather, near } = commonMotion(p);
  const inner = max(0, 1 - p.reach * p.reach);
  const toChin = smoothstep(0.1, mouth.chin - 0.05, p.y);
  const share = jawShare(mouth, p);
  const lip = p.reach < 1 ? 0.36 + 0.64 * inner ** 0.85 : 0.36;
  const cornered = min(share, 0.36 + 0.5 * smoothstep(0, mouth.chin, p.y));
  const drop = mix(mix(lip, share, toChin), cornered, smoothstep(0.9, 1.15, p.reach));
  const v = throughLip(p);
  const skin = 1 - 0.8 * smoothstep(0.15, mouth.chin, p.y);
  const belowLip = mix(1, 0.75, smoothstep(0, 0.08, p.into - p.thickness)) * skin;
  const closing = mouth.open ? mouth.gap - upperPartOfGap(mouth, 0) : 0;
  const closeLip = mouth.open ? p.gap - p.upperPart + closingOverlap(p.reach) : 0;
  const closeChin = closing * 0.75 * share * (1 - 0.5 * smoothstep(0.8, 1.2, p.reach)) * smoothstep(-0.05, 0.15, p.y);
  const underChin = 1 - smoothstep(mouth.chin, mouth.chin + 0.3, p.y);
  return {
    jaw: [-sign(p.s) * min(p.reach, 1) * 0.1 * JAW_DROP * near(1), JAW_DROP * drop],
    closeUpper: [0, 0],
    closeLower: [0, -mix(closeLip, closeChin, smoothstep(0, 0.14, p.into - p.thickness)) - cornerLift(mouth, p, near)],
    pucker: [gather(-0.43), 0.16 * v + straighten(mouth, p, near)],
    funnel: [pull(-0.12, 1.5) + gather(-0.12), 0.28 * v * inner],
    stretch: [pull(0.24, 1.5), -0.16 * v - 0.012 * near(2) * min(p.reach, 1.6)],
    smile: [pull(0.26, 1.8) * underEyes(p), smileLift(p, near) - 0.2 * v],
    upperUp: [0, 0],
    lowerDown: [0, LIP_LIFT * max(0, 1 - p.reach ** 2.2) * belowLip * underChin],
    press: [pull(0.03, 1.5), -0.42 * v],
    tuck: [
      gather(-0.05),
      -0.38 * v - 0.02 * inner * bell((max(0, p.into - p.thickness) / 0.1) ** 2) * smoothstep(0, 0.03, p.into),
    ],
    browUp: [0, 0],
    browDown: [0, 0],
    squint: [0, 0],
  };
}

function upperMotion(mouth: MouthFrame, p: MouthPoint): Motion {
  const { pull, gather, near } = commonMotion(p);
  const share = jawShare(mouth, p);
  const inner = max(0, 1 - p.reach * p.reach);
  const lipwards = smoothstep(mouth.noseBase, 0, p.y);
  const cornered = min(share, 0.36 + 0.5 * smoothstep(0, mouth.chin, p.y));
  const drop = mix(0.36 * min(p.reach, 1) ** 2.2 * lipwards, cornered, smoothstep(0.9, 1.15, p.reach));
  const v = throughLip(p);
  const cheek = bell((p.reach * p.half - 0.36) ** 2 / 0.03 + (p.y + 0.4) ** 2 / 0.025);
  const overNose = smoothstep(mouth.noseBase - 0.1, min(-p.thickness, mouth.noseBase + 0.12), p.y);
  const close = mouth.open ? p.upperPart + closingOverlap(p.reach) : 0;
  return {
    jaw: [-sign(p.s) * min(p.reach, 1) * 0.1 * JAW_DROP * near(1), JAW_DROP * drop],
    closeUpper: [0, close * lipwards * mix(1, 0.7, smoothstep(0, 0.05, p.into - p.thickness))],
    closeLower: [0, -cornerLift(mouth, p, near)],
    pucker: [gather(-0.43), -0.2 * v + straighten(mouth, p, near)],
    funnel: [pull(-0.12, 1.5) + gather(-0.12), -0.3 * v * inner],
    stretch: [pull(0.24, 1.5), 0.16 * v - 0.012 * near(2) * min(p.reach, 1.6)],
    smile: [pull(0.26, 1.8) * underEyes(p), smileLift(p, near) + 0.2 * v - 0.045 * cheek * underEyes(p)],
    upperUp: [0, -LIP_LIFT * max(0, 1 - p.reach ** 2.5) * overNose],
    lowerDown: [0, 0],
    press: [pull(0.03, 1.5), 0.42 * v],
    tuck: [gather(-0.05), 0],
    browUp: [0, 0],
    browDown: [0, 0],
    squint: [0, 0],
  };
}
