import { setTimeout as sleep } from 'node:timers/promises';
import type {
  Avatar,
  AvatarEngine,
  AvatarOptions,
  EngineDescription,
  GpuMemory,
  GpuUse,
  Motion,
  MotionWindow,
} from '../avatar/engine.js';
import type { RgbImage } from '../avatar/image.js';
import { AppError } from '../errors.js';
import type { Instruments } from '../metrics/instruments.js';
import { EngineWorker, type EngineWorkerOptions, type WorkerPlace } from './engine-worker.js';

export interface WorkerEngineOptions extends EngineWorkerOptions {
  /** One worker each. */
  readonly places: readonly WorkerPlace[];
  readonly deviceReason: string;
  readonly instruments?: Instruments | undefined;
}

/** An engine over workers. A session stays with the worker that opened it; new ones go to the least busy. */
export class WorkerEngine implements AvatarEngine {
  readonly description: EngineDescription;
  readonly #options: WorkerEngineOptions;
  readonly #workers: EngineWorker[];
  #lastAvatar = 0;
  #closed = false;

  private constructor(options: WorkerEngineOptions, workers: EngineWorker[]) {
    this.#options = options;
    this.#workers = workers;
    this.description = { ...workers[0]!.description, deviceReason: options.deviceReason };
    for (const [slot, worker] of workers.entries()) this.#watch(worker, slot);
  }

  /** Starts the workers and waits until each has loaded the pack and warmed it up. @throws Error why one could not. */
  static async start(options: WorkerEngineOptions): Promise<WorkerEngine> {
    const starting = await Promise.allSettled(options.places.map((place) => EngineWorker.start(options, place)));
    const workers = starting.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
    const failed = starting.find((start) => start.status === 'rejected');
    if (failed) {
      await Promise.all(workers.map((worker) => worker.close()));
      throw failed.reason;
    }
    return new WorkerEngine(options, workers);
  }

  /** Inference workers, one per slot whether it is alive or being replaced. */
  get workers(): number {
    return this.#workers.length;
  }

  get ready(): boolean {
    return !this.#closed && this.#workers.some((worker) => worker.alive);
  }

  /** The GPUs that the workers run on. */
  get gpus(): readonly GpuUse[] {
    return this.#workers.flatMap(({ gpu }) => gpu ?? []);
  }

  /** The same with what is free just now, as far as the driver tells. */
  gpuMemory(): Promise<readonly GpuMemory[]> {
    const workers = this.#workers.filter(({ gpu }) => gpu);
    return Promise.all(workers.map(async (worker) => ({ ...worker.gpu!, freeMib: await worker.freeMib() })));
  }

  async open(portrait: RgbImage, options: AvatarOptions): Promise<Avatar> {
    const candidates = this.#workers.filter((worker) => worker.alive);
    if (this.#closed || candidates.length === 0) {
      throw new AppError('not_ready', 'The model is being loaded; try again shortly.', { retryAfterSeconds: 2 });
    }
    const worker = candidates.reduce((best, other) => (other.avatars.size < best.avatars.size ? other : best));
    const avatar = new WorkerAvatar(worker, ++this.#lastAvatar);
    worker.avatars.add(avatar);
    try {
      await worker.admit();
      await avatar.open(portrait, options);
      return avatar;
    } catch (error) {
      worker.avatars.delete(avatar);
      throw error;
    }
  }

  /** All workers are timed at once, for they slow each other down. */
  async measureCost(): Promise<number> {
    const costs = await Promise.all(this.#workers.map((worker) => worker.call({ type: 'measureCost' })));
    const mean = costs.reduce((sum, cost) => sum + cost, 0) / costs.length;
    // On a CPU they are threads of one process, and each has counted what all of them took.
    return this.description.device === 'cpu' ? mean / costs.length : mean;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all(this.#workers.map((worker) => worker.close()));
  }

  /** Replaces a worker that died; its sessions are lost, the service is not. */
  #watch(worker: EngineWorker, slot: number): void {
    worker.exited.then(async (reason) => {
      if (this.#closed) return;
      const { logger } = this.#options;
      logger.error({ err: reason, slot }, 'inference worker died, starting another');
      for (let pause = 1; !this.#closed; pause = Math.min(60, 2 * pause)) {
        try {
          const replacement = await EngineWorker.start(this.#options, this.#options.places[slot]!);
          if (this.#closed) return await replacement.close();
          this.#workers[slot] = replacement;
          this.#options.instruments?.workerRestarts.inc();
          logger.info({ slot }, 'inference worker replaced');
          return this.#watch(replacement, slot);
        } catch (err) {
          logger.error({ err, slot, pause }, 'inference worker could not be replaced, trying again');
          await sleep(pause * 1000, undefined, { ref: false });
        }
      }
    });
  }
}

class WorkerAvatar implements Avatar {
  warnings: readonly string[] = [];
  readonly #worker: EngineWorker;
  readonly #avatar: number;
  #onLost: ((reason: AppError) => void) | undefined;

  constructor(worker: EngineWorker, avatar: number) {
    this.#worker = worker;
    this.#avatar = avatar;
  }

  get onLost(): ((reason: AppError) => void) | undefined {
    return this.#onLost;
  }

  /** Called at once when the worker is gone already. */
  set onLost(listener: ((reason: AppError) => void) | undefined) {
    this.#onLost = listener;
    if (this.#worker.lost) listener?.(this.#worker.lost);
  }

  async open(portrait: RgbImage, options: AvatarOptions): Promise<void> {
    const call = { type: 'open', avatar: this.#avatar, portrait, options } as const;
    this.warnings = (await this.#worker.call(call, [portrait.data.buffer as ArrayBuffer])).warnings;
  }

  generateMotion(window: MotionWindow, dueAt: number): Promise<Motion> {
    return this.#worker.call({ type: 'generateMotion', avatar: this.#avatar, window, dueAt }, [
      window.waveform.buffer as ArrayBuffer,
    ]);
  }

  render(motion: Motion, dueAt: number): Promise<Uint8Array> {
    return this.#worker.call({ type: 'render', avatar: this.#avatar, motion, dueAt });
  }

  async close(): Promise<void> {
    if (!this.#worker.avatars.delete(this)) return;
    // A worker that dies takes the avatar with it, which is as good.
    await this.#worker.call({ type: 'close', avatar: this.#avatar }).catch((error) => {
      if (this.#worker.alive) throw error;
    });
  }
}
