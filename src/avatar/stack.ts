import type { TensorData } from '../inference/onnx-model.js';

/** Arrays of one type, one behind the other: the rows of a batch. A single array is handed back as it is. */
export function stack<T extends TensorData>(arrays: readonly T[]): T {
  const [first] = arrays;
  if (arrays.length === 1) return first!;
  const length = arrays.reduce((sum, array) => sum + array.length, 0);
  const whole = new (first!.constructor as new (length: number) => T)(length);
  let at = 0;
  for (const array of arrays) {
    (whole as Float32Array).set(array as Float32Array, at);
    at += array.length;
  }
  return whole;
}
