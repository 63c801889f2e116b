import { type EyeFrame, inEye } from './eye-frame.js';
import type { FaceFrame } from './face-frame.js';
import { canonical } from './face-frame.js';
import { FaceOutline } from './face-outline.js';
import { POINT } from './landmark-sets.js';
import { abs, bell, clamp, max, min, mix, sign, smoothstep } from './math.js';
import { alongMouth, inMouth, type MouthFrame } from './mouth-frame.js';
import type { HeadShape } from './pose-field.js';
import { eachNode, GRID_NODES, gridUnitsPerPixel, type WarpGrid } from './warp-grid.js';

/** The renderer graph's expression controls, in its order. Full strength is 1. */
export const CONTROLS = [
  'jaw',
  'closeUpper',
  'closeLower',
  'pucker',
  'funnel',
  'stretch',
  'smile',
  'upperUp',
  'lowerDown',
  'press',
  'tuck',
  'browUp',
  'browDown',
  'squint',
] as const;
export type Control = (typeof CONTROLS)[number];

/** What one unit of the vertical lip controls moves the middle of the lip, in u; the graph counts on these. */
export const JAW_DROP = 0.16;
const LIP_LIFT = 0.072;
/** Overlap, in u, with which an open-mouthed photo's lips are brought together. */
const CLOSING_OVERLAP = 0.014;
/** How far the upper lip goes of the way to the lower one, at least and at most; the lower lip goes the rest. */
const LEAST_UPPER_PART = 0.2;
const MOST_UPPER_PART = 0.6;
/** How much of the upper teeth shows over a tucked lower lip, u. */
const TUCKED_TEETH = 0.038;
/** The closed lips' line in the middle lies this far under its corners, u, and the corners are lifted: a contented rest. */
const RESTING_SAG = 0.012;
const CORNER_LIFT = 0.014;

/** How far the upper lip of an open-mouthed photo comes down at rest, in u; 0 where the mouth is closed. */
export function upperClosing(mouth: MouthFrame): number {
  return mouth.open ? upperPartOfGap(mouth, 0) + CLOSING_OVERLAP : 0;
}

/**
 * How far the upper lip rises over a tucked lower one, u: far enough to show the upper teeth that the lower lip lies at.
 *
 * @param teethEdge V of their cutting edge, pixels
 */
export function tuckRaise(mouth: MouthFrame, teethEdge: number): number {
  const below = (teethEdge - mouth.upperInner(0)) / mouth.unit - upperClosing(mouth);
  return clamp(TUCKED_TEETH - below, 0.014, 0.032);
}

/**
 * The upper lip's part of the gap at a place along the mouth, in u. An upper lip arched over an open mouth would make a
 * closed one sulk: both lips meet on the line between the corners, as far as the upper lip can reach it.
 */
function upperPartOfGap(mouth: MouthFrame, u: number): number {
  const gap = max(0, mouth.lowerInner(u) - mouth.upperInner(u)) / mouth.unit;
  const s = alongMouth(mouth, u);
  const line = RESTING_SAG * max(0, 1 - s * s);
  return clamp(line - mouth.upperInner(u) / mouth.unit, LEAST_UPPER_PART * gap, MOST_UPPER_PART * gap);
}

/** Displacement of one point in the mouth's plane, dx and dy in u per control. */
type Motion = Record<Control, [number, number]>;

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

/**
 * Forward displacements of the two skin layers: tensor [controls, 4, nodes, nodes] in grid units, the channels being
 * x and y of the upper layer (everything but lower lip and chin) and of the lower one. Beside the mouth both agree.
 */
export function expressionFields(
  face: FaceFrame,
  mouth: MouthFrame,
  eyes: readonly EyeFrame[],
  head: HeadShape,
  grid: WarpGrid,
): Float32Array {
  const nodes = GRID_NODES * GRID_NODES;
  const fields = new Float32Array(CONTROLS.length * 4 * nodes);
  const scale = face.unit * gridUnitsPerPixel(grid);
  const lipDepth = canonical(face, POINT.lowerLipOuterMiddle)[2];
  const outline = new FaceOutline(face);
  const behindGlass = eyes.some((eye) => eye.behindGlass);
  eachNode(grid, (x, y, node) => {
    const forward = clamp((face.earDepth - head.nodes[node * 3 + 2]) / (face.earDepth - lipDepth), 0, 1.15);
    const around = mouthReach(mouth, x, y) * outline.share(x, y);
    const mouths = around > 0 ? mouthMotion(mouth, x, y, forward, behindGlass) : [];
    const brows = eyes.filter((eye) => nearEye(eye, x, y)).map((eye) => eyeMotion(eye, x, y));
    CONTROLS.forEach((control, k) => {
      const at = k * 4 * nodes + node;
      for (let layer = 0; layer < mouths.length; layer++) {
        const [dx, dy] = mouths[layer][control];
        const strength = around * scale;
        fields[at + 2 * layer * nodes] = (dx * mouth.across[0] + dy * mouth.down[0]) * strength;
        fields[at + (2 * layer + 1) * nodes] = (dx * mouth.across[1] + dy * mouth.down[1]) * strength;
      }
      for (const brow of brows) {
        const [dx, dy] = brow[control] ?? [0, 0];
        fields[at] += dx * scale;
        fields[at + nodes] += dy * scale;
      }
    });
  });
  return fields;
}

/** 1 around the mouth, 0 where speech moves nothing: ears, forehead, under the neck. */
function mouthReach(mouth: MouthFrame, x: number, y: number): number {
  const [u, v] = inMouth(mouth, x, y);
  const aside = abs(u) / mouth.unit;
  const down = v / mouth.unit;
  return (
    (1 - smoothstep(0.75, 1.05, aside)) *
    smoothstep(-0.85, -0.55, down) *
    (1 - smoothstep(mouth.chin + 0.25, mouth.chin + 0.5, down))
  );
}

function mouthMotion(mouth: MouthFrame, x: number, y: number, forward: number, behindGlass: boolean): [Motion, Motion] {
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

/** Most in the middle, but enough at the corners too, where the grid's nodes are far apart for so narrow a gap. */
function closingOverlap(reach: number): number {
  const inner = max(0, 1 - reach * reach);
  return CLOSING_OVERLAP * mix(Math.sqrt(inner), 1, 0.8) * smoothstep(1.12, 0.98, reach);
}

/** The corners of an open-mouthed photo, a little up at rest. */
function cornerLift(mouth: MouthFrame, p: MouthPoint, near: (spread: number) => number): number {
  return mouth.open ? CORNER_LIFT * min(p.reach, 1) ** 2 * near(1.5) : 0;
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
    pucker: [gather(-0.43), 0.16 * v],
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
    pucker: [gather(-0.43), -0.2 * v],
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

function nearEye(eye: EyeFrame, x: number, y: number): boolean {
  const [u, v] = inEye(eye, x, y);
  return max(abs(u), abs(v)) < eye.unit;
}

/** Brows and the lower lid, as picture-plane displacements in u. */
function eyeMotion(eye: EyeFrame, x: number, y: number): Partial<Record<Control, [number, number]>> {
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
