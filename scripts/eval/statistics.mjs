// Numbers about curves: plain functions of arrays.

export function mean(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

export function deviation(values) {
  const middle = mean(values);
  let sum = 0;
  for (const value of values) sum += (value - middle) ** 2;
  return Math.sqrt(sum / values.length);
}

/** The value below which a share (0..1) of the values lies, linear between neighbours. */
export function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

/** Mean 0 and deviation 1; a curve that never changes becomes zeros. */
export function standardise(values) {
  const middle = mean(values);
  const spread = deviation(values);
  // What rounding leaves of a flat curve is no curve.
  const flat = spread <= 1e-12 * (1 + Math.abs(middle));
  return Float64Array.from(values, (value) => (flat ? 0 : (value - middle) / spread));
}

/** Pearson's correlation; 0 where one of the curves never changes. */
export function correlation(a, b) {
  if (a.length !== b.length) throw new RangeError(`curves of ${a.length} and ${b.length} values cannot be compared`);
  const [x, y] = [standardise(a), standardise(b)];
  return mean(x.map((value, i) => value * y[i]));
}

/**
 * The parts of two curves that face each other when the first is heard `lag` frames late: made[i + lag] beside real[i].
 * For every lag up to `reach` either way the same stretch of `real` is taken, so that lags compare.
 */
export function atLag(made, real, lag, reach) {
  const count = Math.min(made.length, real.length) - 2 * reach;
  if (count < 2) throw new RangeError(`${Math.min(made.length, real.length)} frames are too few for lags of ${reach}`);
  return { made: made.slice(reach + lag, reach + lag + count), real: real.slice(reach, reach + count) };
}

/** Correlation at every lag from -reach to reach: `[{lag, correlation}]`. */
export function lagCorrelations(made, real, reach) {
  return Array.from({ length: 2 * reach + 1 }, (_, i) => {
    const pair = atLag(made, real, i - reach, reach);
    return { lag: i - reach, correlation: correlation(pair.made, pair.real) };
  });
}

/**
 * Correlation of many recordings as one: each recording's curves are standardised first, so that no speaker's size counts.
 * @param pairs `[{made, real}]`
 */
export function pooledCorrelation(pairs) {
  const join = (key) => Float64Array.from(pairs.flatMap((pair) => [...standardise(pair[key])]));
  return correlation(join('made'), join('real'));
}

/** Absolute second differences: how much a curve bends at each inner frame. */
export function bends(values) {
  return Array.from({ length: Math.max(0, values.length - 2) }, (_, i) =>
    Math.abs(values[i] - 2 * values[i + 1] + values[i + 2]),
  );
}

export function cosine(a, b) {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return dot / Math.sqrt(aa * bb);
}

/** Stretches where a curve is above a level: `[{start, end, peak}]`, `end` behind the last frame, `peak` its frame. */
export function stretchesAbove(values, level) {
  const found = [];
  let start = -1;
  for (let i = 0; i <= values.length; i++) {
    const above = i < values.length && values[i] > level;
    if (above && start < 0) start = i;
    if (!above && start >= 0) {
      let peak = start;
      for (let at = start; at < i; at++) if (values[at] > values[peak]) peak = at;
      found.push({ start, end: i, peak });
      start = -1;
    }
  }
  return found;
}

/**
 * A curve sampled at other times, linear between its own.
 * @param times of its values, rising; outside of them the nearest value counts
 */
export function interpolate(times, values, wanted) {
  let at = 0;
  return Float64Array.from(wanted, (time) => {
    while (at < times.length - 2 && times[at + 1] <= time) at++;
    const span = times[at + 1] - times[at];
    const part = span > 0 ? Math.min(1, Math.max(0, (time - times[at]) / span)) : 0;
    return times.length === 1 ? values[0] : values[at] + part * (values[at + 1] - values[at]);
  });
}
