import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';

/** Half floats are carried as their bits: nobody here computes with them. */
export type TensorData = Float32Array | Uint8Array | Uint16Array | Int32Array | BigInt64Array;

/** Numbers and their shape. The element type is that of the typed array; a `Uint16Array` holds half floats. */
export interface Tensor {
  readonly data: TensorData;
  readonly dims: readonly number[];
}

type ElementType = 'float32' | 'float16' | 'uint8' | 'int32' | 'int64';

/** What a graph says of one of its inputs or outputs. Symbolic dimensions are strings. */
export interface TensorInfo {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly (number | string)[];
}

/** `tensorrt`: what TensorRT does not take runs on CUDA. */
export type Device = 'cpu' | 'cuda' | 'tensorrt';

/** Execution providers in the order of preference; what none of them takes runs on the CPU. */
const PROVIDERS: Record<Device, readonly string[]> = {
  cpu: ['cpu'],
  cuda: ['cuda'],
  tensorrt: ['tensorrt', 'cuda'],
};

export interface OnnxModelOptions {
  readonly device: Device;
  /** Threads one `run` may use; 1 where several models share the machine. */
  readonly threads: number;
}

/**
 * One ONNX graph, loaded. This is the only file that knows onnxruntime-node.
 *
 * `run()` blocks the calling thread although it returns a promise (the binding wraps a synchronous call), so it is
 * only ever called in a worker, never in the thread that serves HTTP.
 */
export class OnnxModel {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  #session: InferenceSession | undefined;

  private constructor(session: InferenceSession) {
    this.#session = session;
    this.inputs = session.inputMetadata.map(describe);
    this.outputs = session.outputMetadata.map(describe);
  }

  /** @throws Error when the file is no valid graph or the device cannot be used. */
  static async load(path: string, { device, threads }: OnnxModelOptions): Promise<OnnxModel> {
    return new OnnxModel(
      await InferenceSession.create(path, {
        executionProviders: [...PROVIDERS[device]],
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        logSeverityLevel: 3,
      }),
    );
  }

  /**
   * Evaluates the graph.
   * @param feeds one tensor per input name. Their arrays are read in place, not copied, and may be used again.
   * @returns one tensor per output name, in arrays of their own.
   */
  async run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
    if (!this.#session) throw new Error('The model is closed.');
    const inputs: Record<string, OrtTensor> = {};
    for (const [name, { data, dims }] of Object.entries(feeds)) {
      inputs[name] = tensor(elementType(data), data, dims);
    }
    const outputs = await this.#session.run(inputs);
    const result: Record<string, Tensor> = {};
    for (const [name, { data, dims, type }] of Object.entries(outputs)) {
      result[name] = { data: type === 'float16' ? bits(data as ArrayBufferView) : (data as TensorData), dims };
    }
    return result;
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.release();
  }
}

function describe(metadata: InferenceSession.ValueMetadata): TensorInfo {
  if (!metadata.isTensor) return { name: metadata.name, type: 'not a tensor', shape: [] };
  return { name: metadata.name, type: metadata.type, shape: metadata.shape };
}

function elementType(data: TensorData): ElementType {
  if (data instanceof Float32Array) return 'float32';
  if (data instanceof Uint8Array) return 'uint8';
  if (data instanceof Uint16Array) return 'float16';
  if (data instanceof Int32Array) return 'int32';
  return 'int64';
}

/**
 * Where JavaScript has a `Float16Array` (Node 24), `Tensor` puts half floats into one, whose length onnxruntime-node 1.29
 * reads as 0. It takes anything with a tensor's properties, though.
 */
function tensor(type: ElementType, data: TensorData, dims: readonly number[]): OrtTensor {
  if (type === 'float16') return { type, data, dims, location: 'cpu' } as unknown as OrtTensor;
  return new OrtTensor(type, data, dims);
}

/** Half floats come as a `Float16Array` where JavaScript has that, as a `Uint16Array` elsewhere. */
function bits({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint16Array {
  return new Uint16Array(buffer, byteOffset, byteLength / 2);
}
