import { abs, log } from './math.js';
/**
 * A smooth surface through scattered points: thin-plate spline with a linear part (Duchon 1977; Wahba, Spline Models
 * for Observational Data, 1990), fitted once by LU decomposition with partial pivoting.
 */
export class ThinPlateSpline {
  private readonly xs: Float64Array;
  private readonly ys: Float64Array;
  private readonly coefficients: Float64Array;

  /**
   * @param smoothing added to the diagonal; above zero it also keeps coincident points solvable.
   */
  constructor(xs: readonly number[], ys: readonly number[], values: readonly number[], smoothing: number) {
    this.xs = Float64Array.from(xs);
    this.ys = Float64Array.from(ys);
    const n = xs.length;
    const size = n + 3;
    const matrix = new Float64Array(size * size);
    const right = new Float64Array(size);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) matrix[i * size + j] = kernel((xs[i] - xs[j]) ** 2 + (ys[i] - ys[j]) ** 2);
      matrix[i * size + i] += smoothing;
      const linear = [1, xs[i], ys[i]];
      for (let k = 0; k < 3; k++) {
        matrix[i * size + n + k] = linear[k];
        matrix[(n + k) * size + i] = linear[k];
      }
      right[i] = values[i];
    }
    this.coefficients = solve(matrix, right);
  }

  at(x: number, y: number): number {
    const { xs, ys, coefficients: w } = this;
    const n = xs.length;
    let sum = w[n] + w[n + 1] * x + w[n + 2] * y;
    for (let i = 0; i < n; i++) {
      const dx = x - xs[i];
      const dy = y - ys[i];
      sum += w[i] * kernel(dx * dx + dy * dy);
    }
    return sum;
  }
}

/** r^2 log r, of the squared distance: conditionally positive definite, so a positive diagonal smooths. */
function kernel(squared: number): number {
  return squared > 1e-12 ? 0.5 * squared * log(squared) : 0;
}

/** Solves in place; a vanishing pivot (collapsed input) drops that unknown instead of dividing by zero. */
function solve(matrix: Float64Array, right: Float64Array): Float64Array {
  const n = right.length;
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (abs(matrix[i * n + k]) > abs(matrix[pivot * n + k])) pivot = i;
    if (pivot !== k) {
      for (let j = k; j < n; j++) {
        const swap = matrix[k * n + j];
        matrix[k * n + j] = matrix[pivot * n + j];
        matrix[pivot * n + j] = swap;
      }
      const swap = right[k];
      right[k] = right[pivot];
      right[pivot] = swap;
    }
    const head = matrix[k * n + k];
    if (abs(head) < 1e-12) continue;
    for (let i = k + 1; i < n; i++) {
      const factor = matrix[i * n + k] / head;
      if (factor === 0) continue;
      for (let j = k + 1; j < n; j++) matrix[i * n + j] -= factor * matrix[k * n + j];
      right[i] -= factor * right[k];
    }
  }
  const result = new Float64Array(n);
  for (let i = n - 1; i >= 0; i--) {
    let sum = right[i];
    for (let j = i + 1; j < n; j++) sum -= matrix[i * n + j] * result[j];
    const head = matrix[i * n + i];
    result[i] = abs(head) < 1e-12 ? 0 : sum / head;
  }
  return result;
}
