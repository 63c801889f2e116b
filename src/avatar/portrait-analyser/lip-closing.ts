import { clamp, max, mix, smoothstep } from './math.js';
import { alongMouth, type MouthFrame } from './mouth-frame.js';

/** Overlap, in u, with which an open-mouthed photo's lips are brought together. */
const CLOSING_OVERLAP = 0.014;
/** How far the upper lip goes of the way to the lower one, at least and at most; the lower lip goes the rest. */
const LEAST_UPPER_PART = 0.2;
const MOST_UPPER_PART = 0.6;
/** How much of the upper teeth shows over a tucked lower lip, u. */
const TUCKED_TEETH = 0.038;
/** The closed lips' line in the middle lies this far under its corners, u. */
const RESTING_SAG = 0.012;

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
export function upperPartOfGap(mouth: MouthFrame, u: number): number {
  const gap = max(0, mouth.lowerInner(u) - mouth.upperInner(u)) / mouth.unit;
  const s = alongMouth(mouth, u);
  const line = RESTING_SAG * max(0, 1 - s * s);
  return clamp(line - mouth.upperInner(u) / mouth.unit, LEAST_UPPER_PART * gap, MOST_UPPER_PART * gap);
}

/** Most in the middle, but enough at the corners too, where the grid's nodes are far apart for so narrow a gap. */
export function closingOverlap(reach: number): number {
  const inner = max(0, 1 - reach * reach);
  return CLOSING_OVERLAP * mix(Math.sqrt(inner), 1, 0.8) * smoothstep(1.12, 0.98, reach);
}
