import type { OnnxModel, Tensor } from '../inference/onnx-model.js';
import { stack } from './stack.js';

/** What the source image leaves behind for the renderer: tensors handed to its graph by name. */
export type IdentityTensors = Readonly<Record<string, Tensor>>;

/** One frame to be drawn. */
export interface Pose {
  /** Motion tokens, `[D]`. */
  readonly tokens: Float32Array;
  /** As `Renderer.identity` gave it; frames of one session share one object. */
  readonly identity: IdentityTensors;
}

/**
 * Draws frames from motion tokens.
 *
 * A graph with a `source_index` input draws frames of several sessions in one run: each identity tensor then has a row
 * for each of these sessions, and every frame says which row is its own. So an identity crosses to the device once in
 * a run, however many of its frames are drawn (docs/decisions/006-cuda.md).
 */
export class Renderer {
  /** Whether frames of several sessions can be drawn in one run. */
  readonly mixes: boolean;
  /** Whether more than one frame can be drawn in one run. */
  readonly batches: boolean;
  readonly #model: OnnxModel;
  readonly #identityNames: readonly string[];

  constructor(model: OnnxModel) {
    this.#model = model;
    this.#identityNames = model.inputs.map(({ name }) => name).filter((name) => !POSE_INPUTS.has(name));
    this.mixes = model.inputs.some(({ name }) => name === 'source_index');
    this.batches = model.inputs.find(({ name }) => name === 'motion')?.shape[0] !== 1;
  }

  /** The tensors that the graph wants, out of those that the source encoder made. @throws Error when one is not there. */
  identity(tensors: IdentityTensors): IdentityTensors {
    const wanted = this.#identityNames.map((name) => {
      const tensor = tensors[name];
      if (!tensor) throw new Error(`The renderer wants identity tensor "${name}".`);
      return [name, tensor] as const;
    });
    return Object.fromEntries(wanted);
  }

  /** @returns each pose's I420 frame; they may be views of one buffer. */
  async draw(poses: readonly Pose[]): Promise<Uint8Array[]> {
    const B = poses.length;
    const sources = [...new Set(poses.map(({ identity }) => identity))];
    const tokens = stack(poses.map((pose) => pose.tokens));
    const feeds: Record<string, Tensor> = {
      ...together(sources),
      motion: { data: tokens, dims: [B, tokens.length / B] },
    };
    if (this.mixes) {
      const rows = Int32Array.from(poses, ({ identity }) => sources.indexOf(identity));
      feeds.source_index = { data: rows, dims: [B] };
    }
    const { frames } = await this.#model.run(feeds);
    const bytes = frames!.data as Uint8Array;
    const length = bytes.length / B;
    return poses.map((_, i) => bytes.subarray(i * length, (i + 1) * length));
  }
}

const POSE_INPUTS = new Set(['motion', 'source_index']);

/** Identities of S sessions as one: `[1, …]` each -> `[S, …]`. */
function together(identities: readonly IdentityTensors[]): IdentityTensors {
  const [first] = identities;
  if (identities.length === 1) return first!;
  return Object.fromEntries(
    Object.entries(first!).map(([name, { dims }]) => {
      const data = stack(identities.map((identity) => identity[name]!.data));
      return [name, { data, dims: [identities.length, ...dims.slice(1)] }];
    }),
  );
}
