import type { OnnxModel, Tensor } from '../inference/onnx-model.js';
import type { Motion } from './engine.js';

/** What the source image leaves behind for the renderer: tensors handed to its graph by name. */
export type IdentityTensors = Record<string, Tensor>;

/** Draws frames of one portrait from motion tokens. */
export class Renderer {
  readonly #model: OnnxModel;
  readonly #identity: IdentityTensors;
  readonly #batch: number;

  /** @throws Error when the graph wants an identity tensor that is not there. */
  constructor(model: OnnxModel, identity: IdentityTensors) {
    for (const { name } of model.inputs) {
      if (name !== 'motion' && !(name in identity)) throw new Error(`The renderer wants identity tensor "${name}".`);
    }
    this.#model = model;
    this.#identity = Object.fromEntries(
      model.inputs.filter(({ name }) => name !== 'motion').map(({ name }) => [name, identity[name]!]),
    );
    const batch = model.inputs.find(({ name }) => name === 'motion')?.shape[0];
    this.#batch = typeof batch === 'number' ? batch : Number.POSITIVE_INFINITY;
  }

  /** @returns I420 frames, back to back. */
  async render({ frames, tokens }: Motion): Promise<Uint8Array> {
    const D = tokens.length / frames;
    let output: Uint8Array | undefined;
    for (let at = 0; at < frames; at += this.#batch) {
      const count = Math.min(this.#batch, frames - at);
      const motion = { data: tokens.subarray(at * D, (at + count) * D), dims: [count, D] };
      const { frames: drawn } = await this.#model.run({ ...this.#identity, motion });
      const bytes = drawn!.data as Uint8Array;
      output ??= new Uint8Array((bytes.length / count) * frames);
      output.set(bytes, (bytes.length / count) * at);
    }
    return output ?? new Uint8Array(0);
  }
}
