import type { TransferListItem } from 'node:worker_threads';
import type { Avatar, EngineDescription, GpuUse } from '../avatar/engine.js';
import { AppError } from '../errors.js';
import { HangWatch } from '../hang-watch.js';
import type { Logger } from '../log.js';
import { freeMemory, type Gpu } from './gpu.js';
import { startProcess, startThread, type WorkerHost } from './worker-host.js';
import type { WorkerCall, WorkerFailure, WorkerMessage, WorkerResults, WorkerSetup } from './worker-protocol.js';

/** Where one worker runs. */
export type WorkerPlace =
  | { readonly kind: 'thread' }
  /** @property gpu the only one that the process sees; left out, those that the service sees */
  | { readonly kind: 'process'; readonly gpu?: Gpu };

/** A worker that owes answers and gives none for so long hangs. Opening a portrait, the longest there is, takes a second. */
const HANG_SECONDS = 60;

export interface EngineWorkerOptions extends WorkerSetup {
  /** Default 60. */
  readonly hangSeconds?: number | undefined;
  /** Compiled `inference/worker.js`. */
  readonly script: URL | string;
  readonly logger: Logger;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: AppError): void;
}

/** One worker and the calls it owes an answer. */
export class EngineWorker {
  readonly description: EngineDescription;
  /** Settles, with the reason, when the worker is gone. */
  readonly exited: Promise<Error>;
  /** What it draws; each is told when the worker is gone. */
  readonly avatars = new Set<Avatar>();
  #gpu: { readonly device: Gpu; readonly use: GpuUse } | undefined;
  readonly #host: WorkerHost;
  readonly #logger: Logger;
  readonly #waiting = new Map<number, Waiting>();
  #lastCall = 0;
  /** Why the worker is gone, or of no use any more. */
  #reason: Error | undefined;
  /** It said itself that its device had failed. */
  #broken = false;
  #abandoned = false;
  readonly #watch: HangWatch;
  #giveUp!: (reason: Error) => void;

  private constructor(host: WorkerHost, description: EngineDescription, logger: Logger, hangSeconds = HANG_SECONDS) {
    this.#host = host;
    this.#logger = logger;
    this.description = description;
    // One that hangs may never be gone: a thread in the middle of a run cannot be stopped.
    const hung = new Promise<Error>((resolve) => {
      this.#giveUp = resolve;
    });
    this.exited = Promise.race([host.exited, hung]).then((reason) => {
      this.#lose(reason);
      return this.#reason!;
    });
    this.#watch = new HangWatch({
      seconds: hangSeconds,
      // Whoever waits for a turn may wait for long; but somebody's turn it is always, and that one gets an answer.
      owes: () => this.#waiting.size > 0,
      onHang: () => this.#abandon(hangSeconds),
    });
  }

  /** Starts a worker and waits until it has loaded the pack and warmed it up. @throws Error why it could not */
  static async start(options: EngineWorkerOptions, place: WorkerPlace): Promise<EngineWorker> {
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
      const help = device === 'cpu' ? '' : ' "npm run setup:cuda" says what a GPU needs and what is missing.';
      throw new Error(`The model could not be loaded on ${device}: ${reason.replace(/\.?$/, '.')}${help}`);
    }
    worker = new EngineWorker(host, message.description, logger, options.hangSeconds);
    try {
      if (gpu) await worker.#measure(gpu, before);
    } catch (error) {
      await worker.close();
      throw error;
    }
    return worker;
  }

  get alive(): boolean {
    return !this.#reason;
  }

  /** Why what it drew is lost; undefined while it is there. */
  get lost(): AppError | undefined {
    return this.#reason && this.#lostError();
  }

  get gpu(): GpuUse | undefined {
    return this.#gpu?.use;
  }

  /** Memory of its GPU that is free just now. */
  async freeMib(): Promise<number | undefined> {
    return this.#gpu && freeMemory(this.#gpu.device);
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
    if (!this.alive) return Promise.reject(this.#lostError());
    const id = ++this.#lastCall;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#host.send({ id, call }, transfer);
    });
  }

  async close(): Promise<void> {
    this.#watch.stop();
    if (!this.#abandoned) await this.#host.kill();
  }

  /** Finds out what the model has taken of the GPU, and what an open session takes on top: the mean of a few. */
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

  #abandon(hangSeconds: number): void {
    const reason = new Error(`no answer for ${hangSeconds} s`);
    this.#logger.error({ calls: this.#waiting.size, hangSeconds }, 'inference worker hangs');
    this.#lose(reason);
    this.#giveUp(reason);
    this.#abandoned = true;
    this.#host.abandon();
  }

  #receive(message: WorkerMessage): void {
    this.#watch.note();
    if (message.type === 'broken') {
      this.#broken = true;
      this.#lose(new Error(message.reason));
      this.#logger.error({ reason: message.reason }, 'the GPU failed');
      // It is about to end, but with a broken device that may take for ever.
      this.#host.kill().catch(() => undefined);
    }
    if (message.type !== 'result' && message.type !== 'error') return;
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.type === 'result') waiting?.resolve(message.value);
    else waiting?.reject(this.#revive(message.failure));
  }

  /** Tells everybody who waits, and whoever is drawn here. */
  #lose(reason: Error): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#watch.stop();
    for (const { reject } of this.#waiting.values()) reject(this.#lostError());
    this.#waiting.clear();
    for (const avatar of this.avatars) avatar.onLost?.(this.#lostError());
  }

  #lostError(): AppError {
    const what = this.#broken ? 'The GPU that drew this session failed.' : 'The inference worker of this session died.';
    return new AppError('internal', `${what} Start the talk again in a new session.`, { cause: this.#reason });
  }

  #revive({ code, detail, stack }: WorkerFailure): AppError {
    if (code === 'internal') this.#logger.error({ stack }, 'inference call failed');
    return new AppError(code, detail, { cause: stack });
  }
}
