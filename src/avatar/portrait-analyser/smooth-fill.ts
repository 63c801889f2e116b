import { max, min } from './math.js';

/** Rounds of relaxation at each size; the coarser sizes have done the far-reaching part already. */
const ROUNDS = 12;

/**
 * Fills the unknown values of a plane as smoothly as the known ones allow: a membrane stretched between them (Laplace's
 * equation), solved from coarse to fine. In place; all zeros where nothing is known.
 *
 * @param known one per value, not 0 where the value is given
 */
export function fillSmoothly(plane: Float32Array, known: Uint8Array, width: number, height: number): void {
  if (width <= 2 || height <= 2) {
    fillWithMean(plane, known);
    return;
  }
  const wide = (width + 1) >> 1;
  const high = (height + 1) >> 1;
  const coarse = new Float32Array(wide * high);
  const counts = new Uint8Array(wide * high);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!known[y * width + x]) continue;
      const at = (y >> 1) * wide + (x >> 1);
      coarse[at] += plane[y * width + x];
      counts[at]++;
    }
  }
  for (let i = 0; i < coarse.length; i++) if (counts[i]) coarse[i] /= counts[i];
  fillSmoothly(coarse, counts, wide, high);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!known[y * width + x]) plane[y * width + x] = coarse[(y >> 1) * wide + (x >> 1)];
    }
  }
  relax(plane, known, width, height);
}

function fillWithMean(plane: Float32Array, known: Uint8Array): void {
  let sum = 0;
  let count = 0;
  for (let i = 0; i < plane.length; i++) {
    if (!known[i]) continue;
    sum += plane[i];
    count++;
  }
  const mean = count ? sum / count : 0;
  for (let i = 0; i < plane.length; i++) if (!known[i]) plane[i] = mean;
}

/** Gauss-Seidel steps: each unknown value becomes the mean of its neighbours. */
function relax(plane: Float32Array, known: Uint8Array, width: number, height: number): void {
  for (let round = 0; round < ROUNDS; round++) {
    for (let y = 0; y < height; y++) {
      const above = max(y - 1, 0) * width;
      const below = min(y + 1, height - 1) * width;
      for (let x = 0; x < width; x++) {
        const at = y * width + x;
        if (known[at]) continue;
        const left = y * width + max(x - 1, 0);
        const right = y * width + min(x + 1, width - 1);
        plane[at] = (plane[above + x] + plane[below + x] + plane[left] + plane[right]) / 4;
      }
    }
  }
}
