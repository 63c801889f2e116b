import { existsSync } from 'node:fs';
import type { Logger } from '../log.js';
import type { Device } from './onnx-model.js';
import { WorkerEngine } from './worker-engine.js';

export interface EngineStart {
  readonly packDirectory: string;
  readonly device: 'auto' | Device;
  readonly workers: number;
  /** Compiled `inference/worker.js`. */
  readonly script: URL | string;
  readonly logger: Logger;
}

/** What NVIDIA's driver puts there, on Linux and on Windows' Linux. */
const NVIDIA_DEVICES = ['/dev/nvidiactl', '/dev/nvidia0', '/dev/dxg'];

/**
 * Starts the inference threads on the device asked for; `auto` takes CUDA where the model runs on it, else the CPU.
 * @throws Error when the pack is not sound, or `cuda` was asked for and does not run here.
 */
export async function startEngine({
  packDirectory,
  device,
  workers,
  script,
  logger,
}: EngineStart): Promise<WorkerEngine> {
  const start = (chosen: Device, deviceReason: string) =>
    WorkerEngine.start({
      packDirectory,
      device: chosen,
      // One thread per GPU: several would only queue for it.
      workers: chosen === 'cuda' ? 1 : workers,
      deviceReason,
      script,
      logger,
    });
  if (device !== 'auto') return start(device, `DEVICE=${device}`);
  if (!NVIDIA_DEVICES.some((path) => existsSync(path))) return start('cpu', 'DEVICE=auto: no NVIDIA GPU was found');
  try {
    return await start('cuda', 'DEVICE=auto: the model runs on CUDA here');
  } catch (error) {
    logger.warn({ err: error }, 'CUDA is not usable, taking the CPU');
    return start('cpu', 'DEVICE=auto: CUDA is not usable here; the log says why');
  }
}
