import { existsSync } from 'node:fs';
import type { Logger } from '../log.js';
import type { Instruments } from '../metrics/instruments.js';
import type { WorkerPlace } from './engine-worker.js';
import { listGpus } from './gpu.js';
import { ModelPack } from './model-pack.js';
import type { Device } from './onnx-model.js';
import { WorkerEngine } from './worker-engine.js';

export interface EngineStart {
  readonly packDirectory: string;
  readonly device: 'auto' | Device;
  /** Threads on the CPU; on GPUs there is one process for each. */
  readonly workers: number;
  /** Frames of one run of the renderer at most; undefined: what suits the device. */
  readonly batchFrames: number | undefined;
  /** Seconds without an answer after which a worker counts as hung; see `EngineWorkerOptions`. */
  readonly hangSeconds?: number | undefined;
  /** Compiled `inference/worker.js`. */
  readonly script: URL | string;
  readonly logger: Logger;
  readonly instruments?: Instruments | undefined;
}

/** What NVIDIA's driver puts there, on Linux and on Windows' Linux. */
const NVIDIA_DEVICES = ['/dev/nvidiactl', '/dev/nvidia0', '/dev/dxg'];
/** A GPU is busy with a batch, a CPU with a frame: there a batch only makes the other sessions wait. */
export const BATCH_FRAMES = { cpu: 5, cuda: 16, tensorrt: 16 } as const;

/**
 * Starts the inference workers on the device asked for; `auto` takes CUDA where the pack is made for it and
 * runs on it, else the CPU.
 * @throws Error when the pack is not sound, or a device was asked for that does not run here.
 */
export async function startEngine({ device, workers, batchFrames, ...rest }: EngineStart): Promise<WorkerEngine> {
  const start = async (chosen: Device, deviceReason: string) =>
    WorkerEngine.start({
      ...rest,
      device: chosen,
      deviceReason,
      batchFrames: batchFrames ?? BATCH_FRAMES[chosen],
      places: chosen === 'cpu' ? Array.from({ length: workers }, () => ({ kind: 'thread' })) : await gpuPlaces(),
    });
  if (device !== 'auto') return start(device, `DEVICE=${device}`);
  const { device: made } = await ModelPack.readFacts(rest.packDirectory);
  if (made === 'cpu') return start('cpu', 'DEVICE=auto: this pack is made for the CPU');
  if (!NVIDIA_DEVICES.some((path) => existsSync(path))) return start('cpu', 'DEVICE=auto: no NVIDIA GPU was found');
  try {
    return await start('cuda', 'DEVICE=auto: the model runs on CUDA here');
  } catch (error) {
    rest.logger.warn({ err: error }, 'CUDA is not usable, taking the CPU');
    return start('cpu', 'DEVICE=auto: CUDA is not usable here; the log says why');
  }
}

/** One worker per GPU: several would only queue for it. */
async function gpuPlaces(): Promise<WorkerPlace[]> {
  const gpus = await listGpus();
  return gpus.length > 0 ? gpus.map((gpu) => ({ kind: 'process', gpu })) : [{ kind: 'process' }];
}
