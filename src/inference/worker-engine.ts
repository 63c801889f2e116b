import { setTimeout as sleep } from 'node:timers/promises';
import type { TransferListItem } from 'node:worker_threads';
import type {
  Avatar,
  AvatarEngine,
  AvatarOptions,
  EngineDescription,
  GpuUse,
  Motion,
  MotionWindow,
} from '../avatar/engine.js';
import type { RgbImage } from '../avatar/image.js';
import { AppError } from '../errors.js';
import type { Logger } from '../log.js';
import { freeMemory, type Gpu } from './gpu.js';
import { startProcess, startThread, type WorkerHost } from './worker-host.js';
import type { WorkerCall, WorkerFailure, WorkerMessage, WorkerResults, WorkerSetup } from './worker-protocol.js';

/** Where one worker runs. */
export type WorkerPlace =
  | { readonly kind: 'thread' }
  /** @property gpu the only one that the process sees; left out, those that the service sees */
  | { readonly kind: 'process'; readonly gpu?: Gpu };

export interface WorkerEngineOptions extends WorkerSetup {
  /** Compiled `inference/worker.js`. */
  readonly script: URL | string;
  /** One worker each. */
  readonly places: readonly WorkerPlace[];
  readonly deviceReason: string;
  readonly logger: Logger;
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
  onLost: ((reason: AppError) => void) | undefined;
  readonly #worker: EngineWorker;
  readonly #avatar: number;

  constructor(worker: EngineWorker, avatar: number) {
    this.#worker = worker;
    this.#avatar = avatar;
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

interface Waiting {
  resolve(value: unknown): void;
  reject(error: AppError): void;
}

/** One worker and the calls it owes an answer. */
class EngineWorker {
  readonly description: EngineDescription;
  /** Settles, with the reason, when the worker is gone. */
  readonly exited: Promise<Error>;
  readonly avatars = new Set<WorkerAvatar>();
  #gpu: { readonly device: Gpu; readonly use: GpuUse } | undefined;
  readonly #host: WorkerHost;
  readonly #logger: Logger;
  readonly #waiting = new Map<number, Waiting>();
  #lastCall = 0;
  /** What the worker said of its device before it ended. */
  #broken: Error | undefined;
  /** Why the worker is gone. */
  #reason: Error | undefined;

  private constructor(host: WorkerHost, description: EngineDescription, logger: Logger) {
    this.#host = host;
    this.#logger = logger;
    this.description = description;
    this.exited = host.exited.then((reason) => {
      this.#reason = this.#broken ?? reason;
      for (const { reject } of this.#waiting.values()) reject(this.#lost());
      this.#waiting.clear();
      for (const avatar of this.avatars) avatar.onLost?.(this.#lost());
      return this.#reason;
    });
  }

  static async start(options: WorkerEngineOptions, place: WorkerPlace): Promise<EngineWorker> {
    const { script, packDirectory, device, batchFrames, logger } = options;
    const setup: WorkerSetup = { packDirectory, device, batchFrames };
    const gpu = place.kind === 'process' ? place.gpu : undefined;
    const before = gpu && (await freeMemory(gpu));
    const host =
      place.kind === 'thread'
        ? startThread(script, setup)
        : startProcess(script, setup, gpu ? { CUDA_VISIBLE_DEVICES: gpu.uuid } : {});
    let worker: EngineWorker | undefined;
    const message = await Promise.race([
      new Promise<WorkerMessage>((resolve) => {
        host.onMessage((received) => (worker ? worker.#receive(received) : resolve(received)));
      }),
      host.exited,
    ]);
    if (message instanceof Error) {
      throw new Error(`The inference worker ended before it was ready: ${message.message}.`);
    }
    if (message.type !== 'ready') {
      await host.kill();
      const reason = 'reason' in message ? message.reason : message.type;
      throw new Error(`The model could not be loaded on ${device}: ${reason}`);
    }
    worker = new EngineWorker(host, message.description, logger);
    if (gpu) await worker.#measure(gpu, before);
    return worker;
  }

  get alive(): boolean {
    return !this.#reason && !this.#broken;
  }

  get gpu(): GpuUse | undefined {
    return this.#gpu?.use;
  }

  /** @throws AppError `gpu_memory_full` when what a session takes of the GPU is not free. */
  async admit(): Promise<void> {
    if (!this.#gpu) return;
    const { device, use } = this.#gpu;
    const free = use.sessionMib > 0 ? await freeMemory(device) : undefined;
    if (free === undefined || free >= use.sessionMib) return;
    throw new AppError(
      'gpu_memory_full',
      `The GPU has ${free} MiB of memory free and a session takes ${use.sessionMib} MiB. Delete a session or try again later.`,
      { retryAfterSeconds: 10 },
    );
  }

  call<C extends WorkerCall>(call: C, transfer: TransferListItem[] = []): Promise<WorkerResults[C['type']]> {
    if (!this.alive) return Promise.reject(this.#lost());
    const id = ++this.#lastCall;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#host.send({ id, call }, transfer);
    });
  }

  async close(): Promise<void> {
    await this.#host.kill();
  }

  /** Finds out what the model has taken of the GPU, and what a session takes on top: the mean of a few that draw. */
  async #measure(device: Gpu, before: number | undefined): Promise<void> {
    const loaded = await freeMemory(device);
    if (before === undefined || loaded === undefined) {
      this.#logger.warn({ gpu: device.name }, 'nvidia-smi does not run here: GPU memory is not known');
      return;
    }
    const { width, height } = this.description;
    const count = 4;
    const ids = Array.from({ length: count }, (_, i) => -1 - i);
    for (const avatar of ids) {
      const portrait = { width, height, data: new Uint8Array(width * height * 3).fill(128) };
      await this.call({ type: 'open', avatar, portrait, options: { crop: false, seed: 0, nfe: 5, cfgScale: 2 } });
    }
    const full = (await freeMemory(device)) ?? loaded;
    for (const avatar of ids) await this.call({ type: 'close', avatar });
    this.#gpu = {
      device,
      use: {
        name: device.name,
        totalMib: device.totalMib,
        modelMib: before - loaded,
        sessionMib: Math.max(0, Math.ceil((loaded - full) / count)),
      },
    };
  }

  #receive(message: WorkerMessage): void {
    if (message.type === 'broken') {
      this.#broken = new Error(message.reason);
      this.#logger.error({ reason: message.reason }, 'the GPU failed');
    }
    if (message.type !== 'result' && message.type !== 'error') return;
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.type === 'result') waiting?.resolve(message.value);
    else waiting?.reject(this.#revive(message.failure));
  }

  #lost(): AppError {
    const what = this.#broken ? 'The GPU that drew this session failed.' : 'The inference worker of this session died.';
    return new AppError('internal', `${what} Start the talk again in a new session.`, {
      cause: this.#broken ?? this.#reason,
    });
  }

  #revive({ code, detail, stack }: WorkerFailure): AppError {
    if (code === 'internal') this.#logger.error({ stack }, 'inference call failed');
    return new AppError(code, detail, { cause: stack });
  }
}
