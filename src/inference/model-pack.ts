import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import type { OnnxModel } from './onnx-model.js';

const graphSchema = z.strictObject({
  // One step out of the folder at most: packs share the face graphs of another.
  file: z.string().regex(/^(\.\.\/)?[\w-][\w.-]*(\/[\w-][\w.-]*)*\.onnx$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

const positive = z.int().positive();

/** The shape of `pack.json`; `docs/model-packs.md` explains each field. */
const packSchema = z.strictObject({
  name: z.string().min(1),
  version: z.string().min(1),
  licence: z.string().min(1),
  weights: z.string().min(1),
  /** What `DEVICE=auto` takes; a pack may be made for the CPU and gain nothing from a GPU. */
  device: z.enum(['cpu', 'cuda']).default('cuda'),
  fps: z.literal(25),
  source: z.strictObject({
    size: positive,
    /** Half the side of the square crop, in units of the face box's larger side. */
    crop_scale: z.number().positive(),
    /** A built-in analyser in place of a `source_encoder` graph. */
    analyser: z.enum(['portrait']).optional(),
  }),
  frame: z.strictObject({ width: positive.multipleOf(2), height: positive.multipleOf(2) }),
  motion: z.strictObject({
    tokens: positive,
    /** Frames one call of the generator takes; null: any number. */
    window: positive.nullable(),
    context: positive,
    token_scale: z.array(z.number().positive()).optional(),
    /** Radians of pitch, yaw and roll that `pose_style` may ask for each way: what the model moves by itself needs room too. */
    pose_limit: z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]).optional(),
  }),
  audio: z.strictObject({
    features: positive,
    normalisation: z.enum(['none', 'zero_mean_unit_variance']),
    context_frames: z.int().nonnegative(),
  }),
  graphs: z.strictObject({
    face_detector: graphSchema,
    face_mesh: graphSchema,
    source_encoder: graphSchema.optional(),
    audio_encoder: graphSchema,
    motion_generator: graphSchema,
    renderer: graphSchema,
  }),
});

type PackFile = z.infer<typeof packSchema>;
export type GraphName = keyof PackFile['graphs'];

type CheckedGraph = 'source_encoder' | 'audio_encoder' | 'motion_generator' | 'renderer';

/** One tensor of the contract: a number fixes a dimension, null leaves it open. */
interface ExpectedTensor {
  readonly type: 'float32' | 'uint8';
  readonly shape: readonly (number | null)[];
}

/** A model pack: a folder with a checked `pack.json` and checked graph files. */
export class ModelPack {
  private constructor(
    readonly directory: string,
    readonly facts: PackFile,
  ) {}

  /**
   * Reads `directory/pack.json` and compares every graph file with its hash.
   * @throws Error that says which file or field does not fit; never returns a half-good pack.
   */
  static async read(directory: string): Promise<ModelPack> {
    const facts = await ModelPack.readFacts(directory);
    for (const [name, graph] of Object.entries(facts.graphs)) {
      if (graph) await compareHash(name, join(directory, graph.file), graph.sha256);
    }
    return new ModelPack(directory, facts);
  }

  /** Reads and checks `directory/pack.json` alone. @throws Error that says which field does not fit. */
  static async readFacts(directory: string): Promise<PackFile> {
    const path = join(directory, 'pack.json');
    const text = await readFile(path, 'utf8').catch((cause) => {
      const manual = join(directory, 'README.md');
      const howTo = existsSync(manual) ? ` ${manual} says how it is made.` : '';
      throw new Error(`There is no model pack at ${directory}: pack.json cannot be read.${howTo}`, { cause });
    });
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (cause) {
      throw new Error(`${path} is not valid JSON.`, { cause });
    }
    const parsed = packSchema.safeParse(json);
    if (!parsed.success) throw new Error(`${path} does not fit the contract:\n${z.prettifyError(parsed.error)}`);
    const { graphs, source, motion } = parsed.data;
    if (!source.analyser && !graphs.source_encoder) {
      throw new Error(`${path} names neither a source_encoder graph nor a built-in analyser.`);
    }
    if (motion.token_scale && motion.token_scale.length !== motion.tokens) {
      throw new Error(
        `${path}: motion.token_scale has ${motion.token_scale.length} numbers, tokens is ${motion.tokens}.`,
      );
    }
    return parsed.data;
  }

  /** Absolute path of a graph. @throws Error when the pack has none of that name. */
  graphPath(name: GraphName): string {
    const graph = this.facts.graphs[name];
    if (!graph) throw new Error(`Pack ${this.facts.name} has no ${name} graph.`);
    return resolve(this.directory, graph.file);
  }

  /**
   * Compares a loaded graph with the contract: every tensor's name, element type and rank, and the sizes that
   * `pack.json` fixes.
   * @throws Error naming the graph, the tensor and what does not fit.
   */
  check(name: CheckedGraph, model: OnnxModel): void {
    const { inputs, outputs } = this.#contract()[name];
    compareTensors(`${name} input`, inputs, model.inputs, { others: name === 'renderer' });
    compareTensors(`${name} output`, outputs, model.outputs, { others: name === 'source_encoder' });
    if (name !== 'renderer') return;
    const batch = model.inputs.find((tensor) => tensor.name === 'motion')?.shape[0];
    if (typeof batch === 'number' && batch !== 1) {
      throw new Error(`renderer input "motion" takes exactly ${batch} frames; it must take one, or any number.`);
    }
    const index = model.inputs.find((tensor) => tensor.name === 'source_index');
    if (index && this.facts.source.analyser) {
      throw new Error('renderer input "source_index": a built-in analyser makes no rows for it to choose from.');
    }
    if (index && (index.type !== 'int32' || index.shape.length !== 1)) {
      throw new Error(`renderer input "source_index" is ${index.type} [${index.shape}], not int32 [?].`);
    }
  }

  /**
   * Compares what the renderer wants to know of a portrait with what the source encoder finds out.
   * @throws Error naming the identity tensor that does not fit.
   */
  checkIdentity(sourceEncoder: OnnxModel, renderer: OnnxModel): void {
    const mixes = renderer.inputs.some(({ name }) => name === 'source_index');
    for (const { name, type, shape } of renderer.inputs) {
      if (name === 'motion' || name === 'source_index') continue;
      const made = sourceEncoder.outputs.find((output) => output.name === name);
      if (!made) throw new Error(`The renderer wants identity tensor "${name}", which source_encoder does not give.`);
      if (made.type !== type) throw new Error(`Identity tensor "${name}" is ${made.type}, the renderer wants ${type}.`);
      if (made.shape.length !== shape.length) {
        throw new Error(`Identity tensor "${name}" has shape [${made.shape}], the renderer wants [${shape}].`);
      }
      if (mixes && (made.shape[0] !== 1 || typeof shape[0] !== 'string')) {
        throw new Error(
          `Identity tensor "${name}" must be a row of source_encoder, [1,…], and rows of any number for the renderer.`,
        );
      }
    }
  }

  #contract(): Record<
    CheckedGraph,
    { inputs: Record<string, ExpectedTensor>; outputs: Record<string, ExpectedTensor> }
  > {
    const { motion, audio, frame, source } = this.facts;
    const D = motion.tokens;
    const P = motion.context;
    const C = audio.features;
    const W = motion.window;
    const float = (...shape: (number | null)[]): ExpectedTensor => ({ type: 'float32', shape });
    return {
      source_encoder: {
        inputs: { image: float(1, 3, source.size, source.size) },
        outputs: { motion_ref: float(1, D) },
      },
      audio_encoder: { inputs: { waveform: float(1, null) }, outputs: { features: float(1, null, C) } },
      motion_generator: {
        inputs: {
          t: float(1),
          x: float(null, W, D),
          audio: float(null, W, C),
          prev_x: float(null, P, D),
          prev_audio: float(null, P, C),
          motion_ref: float(null, D),
          pose: float(null, W, 3),
          gaze: float(null, W, 2),
          prev_pose: float(null, P, 3),
          prev_gaze: float(null, P, 2),
          guidance: float(1),
        },
        outputs: { velocity: float(null, W, D) },
      },
      renderer: {
        inputs: { motion: float(null, D) },
        outputs: { frames: { type: 'uint8', shape: [null, (frame.height * 3) / 2, frame.width] } },
      },
    };
  }
}

async function compareHash(name: string, path: string, expected: string): Promise<void> {
  const bytes = await readFile(path).catch((cause) => {
    throw new Error(`The ${name} graph cannot be read: ${path}`, { cause });
  });
  const actual = createHash('sha256').update(bytes).digest('hex');
  if (actual !== expected) {
    throw new Error(`The ${name} graph is not the one pack.json names: ${path} has sha256 ${actual}, not ${expected}.`);
  }
}

function compareTensors(
  what: string,
  expected: Record<string, ExpectedTensor>,
  actual: OnnxModel['inputs'],
  { others }: { others: boolean },
): void {
  for (const [name, { type, shape }] of Object.entries(expected)) {
    const found = actual.find((tensor) => tensor.name === name);
    if (!found) throw new Error(`${what} "${name}" is missing; the graph has ${actual.map((t) => t.name).join(', ')}.`);
    if (found.type !== type) throw new Error(`${what} "${name}" is ${found.type}, not ${type}.`);
    const fits =
      found.shape.length === shape.length &&
      shape.every((size, i) => size === null || typeof found.shape[i] === 'string' || found.shape[i] === size);
    if (!fits) {
      const wanted = shape.map((size) => size ?? '?').join(',');
      throw new Error(`${what} "${name}" has shape [${found.shape.join(',')}], not [${wanted}].`);
    }
  }
  if (others) return;
  const unknown = actual.find((tensor) => !(tensor.name in expected));
  if (unknown) throw new Error(`${what} "${unknown.name}" is not in the contract.`);
}
