import type { Tensor } from '../../inference/onnx-model.js';

/** Tensors that make the renderer draw one person, by the renderer graph's input names, and `motion_ref`. */
export type IdentityTensors = Record<string, Tensor>;

export function floats(values: ArrayLike<number>, dims: readonly number[]): Tensor {
  return { data: values instanceof Float32Array ? values : Float32Array.from(values), dims };
}

export function integers(values: readonly number[], dims: readonly number[] = [values.length]): Tensor {
  return { data: BigInt64Array.from(values, BigInt), dims };
}

/** Rows of weights as columns: `[count, nodes]` -> `[nodes, count]`. */
export function transposed(values: Float32Array, columns: number): Tensor {
  const rows = values.length / columns;
  const data = values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
  return { data, dims: [columns, rows] };
}
