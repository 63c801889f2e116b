import type { OnnxModel, Tensor } from '../inference/onnx-model.js';
import { stack } from './stack.js';

/** One window of motion to be found: what the velocity field is conditioned on, and the noise to start from. */
export interface FlowProblem {
  /** W: rows of `x`, `audio`, `pose` and `gaze`. */
  readonly frames: number;
  /** Noise `[W, D]`; becomes the motion, in place. */
  readonly x: Float32Array;
  /** Audio features `[W, C]`. */
  readonly audio: Float32Array;
  /** Motion `[P, D]` and audio features `[P, C]` of the frames before. */
  readonly prev_x: Float32Array;
  readonly prev_audio: Float32Array;
  /** Motion tokens of the source image, `[D]`. */
  readonly motion_ref: Float32Array;
  /** `[W, 3]`, `[W, 2]`, `[P, 3]`, `[P, 2]`. */
  readonly pose: Float32Array;
  readonly gaze: Float32Array;
  readonly prev_pose: Float32Array;
  readonly prev_gaze: Float32Array;
}

export interface FlowOptions {
  /** Points of the time grid; one evaluation fewer is made. */
  readonly nfe: number;
  /** Classifier-free guidance on audio. */
  readonly cfgScale: number;
}

const CONDITIONS = ['audio', 'prev_x', 'prev_audio', 'pose', 'gaze', 'prev_pose', 'prev_gaze'] as const;

/**
 * Solves the ODE of a pack's velocity field, for one window or for several at once.
 *
 * The field is that of a flow-matching model (Lipman et al., arXiv 2210.02747): it carries noise at t = 0 to motion at
 * t = 1, here by Euler steps over t = linspace(0, 1, nfe). Classifier-free guidance is inside the graph.
 */
export class FlowSampler {
  /** Whether the graph takes windows of several sessions in one run. */
  readonly batches: boolean;
  readonly #model: OnnxModel;

  constructor(model: OnnxModel) {
    this.#model = model;
    this.batches = typeof model.inputs.find(({ name }) => name === 'x')?.shape[0] === 'string';
  }

  /**
   * @param problems all with as many frames
   * @returns the motion of each, `[W, D]`
   */
  async solve(problems: readonly FlowProblem[], { nfe, cfgScale }: FlowOptions): Promise<Float32Array[]> {
    const B = problems.length;
    const { frames, motion_ref, prev_pose } = problems[0]!;
    const context = prev_pose.length / 3;
    const t = new Float32Array(1);
    const x = stack(problems.map((problem) => problem.x));
    const feeds: Record<string, Tensor> = {
      t: { data: t, dims: [1] },
      x: { data: x, dims: [B, frames, motion_ref.length] },
      motion_ref: { data: stack(problems.map((problem) => problem.motion_ref)), dims: [B, motion_ref.length] },
      guidance: { data: Float32Array.of(cfgScale), dims: [1] },
    };
    for (const name of CONDITIONS) {
      const data = stack(problems.map((problem) => problem[name]));
      const length = name.startsWith('prev_') ? context : frames;
      feeds[name] = { data, dims: [B, length, data.length / B / length] };
    }
    const step = 1 / (nfe - 1);
    for (let k = 0; k < nfe - 1; k++) {
      t[0] = k * step;
      const { velocity } = await this.#model.run(feeds);
      const v = velocity!.data as Float32Array;
      for (let i = 0; i < x.length; i++) x[i] = x[i]! + step * v[i]!;
    }
    return problems.map((_, i) => x.subarray((i * x.length) / B, ((i + 1) * x.length) / B));
  }
}
