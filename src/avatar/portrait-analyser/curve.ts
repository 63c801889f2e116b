import { ceil, clamp, floor, max } from './math.js';

/** A function of one coordinate through given knots, linear between them and constant beyond the ends. */
export class Curve {
  private readonly positions: number[];
  private readonly values: number[];

  /** Knots may come in any order; equal positions are allowed. Throws nothing; no knots means zero everywhere. */
  constructor(knots: ReadonlyArray<readonly [number, number]>) {
    const sorted = [...knots].sort((a, b) => a[0] - b[0]);
    this.positions = sorted.map((knot) => knot[0]);
    this.values = sorted.map((knot) => knot[1]);
  }

  at(position: number): number {
    const { positions, values } = this;
    const last = positions.length - 1;
    if (last < 0) return 0;
    if (position <= positions[0]) return values[0];
    if (position >= positions[last]) return values[last];
    let low = 0;
    let high = last;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (positions[middle] <= position) low = middle;
      else high = middle;
    }
    const from = positions[low];
    const span = positions[high] - from;
    const t = span > 1e-9 ? (position - from) / span : 0;
    return values[low] * (1 - t) + values[high] * t;
  }

  /** The same function read from a dense table over [from, to]: for inner loops. */
  dense(from: number, to: number, step = 0.25): (position: number) => number {
    const count = max(2, ceil((to - from) / step) + 1);
    const table = new Float64Array(count);
    for (let i = 0; i < count; i++) table[i] = this.at(from + i * step);
    return (position) => {
      const at = clamp((position - from) / step, 0, count - 1.000001);
      const i = floor(at);
      const t = at - i;
      return table[i] * (1 - t) + table[i + 1] * t;
    };
  }
}
