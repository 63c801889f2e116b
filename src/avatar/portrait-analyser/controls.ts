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
export const LIP_LIFT = 0.072;
