/** Small scalar functions the geometry is written in. */

// Taken from the global object once: in a sandboxed context (a test runner's) each look-up there is slow.
export const { abs, ceil, exp, floor, hypot, log, max, min, sign } = Math;

export function clamp(value: number, low: number, high: number): number {
  return min(max(value, low), high);
}

export function mix(a: number, b: number, t: number): number {
  return a + (b - a) * t;
}

/** Hermite step: 0 up to `from`, 1 from `to` on (either order), smooth between. */
export function smoothstep(from: number, to: number, value: number): number {
  const t = clamp((value - from) / (to - from), 0, 1);
  return t * t * (3 - 2 * t);
}

/** Gaussian bell of a squared distance that is already in units of the bell's width. */
export function bell(squaredDistance: number): number {
  return exp(-squaredDistance);
}

/** In-place Gaussian smoothing of a sequence, ends repeated; the kernel reaches three sigma. */
export function smoothSequence(values: Float64Array, sigma: number): Float64Array {
  const reach = max(1, ceil(3 * sigma));
  const weights = new Float64Array(2 * reach + 1);
  for (let i = -reach; i <= reach; i++) weights[i + reach] = exp((-0.5 * i * i) / (sigma * sigma));
  const source = values.slice();
  for (let i = 0; i < values.length; i++) {
    let sum = 0;
    let total = 0;
    for (let k = -reach; k <= reach; k++) {
      const weight = weights[k + reach];
      sum += weight * source[clamp(i + k, 0, source.length - 1)];
      total += weight;
    }
    values[i] = sum / total;
  }
  return values;
}

/** The value below which `fraction` of `values` lies; 0 for none. */
export function percentile(values: readonly number[], fraction: number): number {
  if (values.length === 0) return 0;
  const sorted = Float64Array.from(values).sort();
  return sorted[clamp(Math.round(fraction * (sorted.length - 1)), 0, sorted.length - 1)];
}
