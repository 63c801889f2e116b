import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TransferListItem, Worker } from 'node:worker_threads';
import type { Avatar, AvatarEngine, AvatarOptions, EngineDescription, Motion, MotionWindow } from '../avatar/engine.js';
import type { RgbImage } from '../avatar/image.js';
import { AppError } from '../errors.js';
import type { Logger } from '../log.js';
import type { WorkerCall, WorkerFailure, WorkerMessage, WorkerResults, WorkerSetup } from './worker-protocol.js';

export interface WorkerEngineOptions extends WorkerSetup {
  /** Compiled `inference/worker.js`. */
  readonly script: URL | string;
  readonly workers: number;
  readonly deviceReason: string;
  readonly logger: Logger;
}

/** An engine over worker threads. A session stays with the thread that opened it; new ones go to the least busy. */
export class WorkerEngine implements AvatarEngine {
  readonly description: EngineDescription;
  readonly #options: WorkerEngineOptions;
  readonly #threads: EngineThread[];
  #lastAvatar = 0;
  #closed = false;

  private constructor(options: WorkerEngineOptions, threads: EngineThread[]) {
    this.#options = options;
    this.#threads = threads;
    this.description = { ...threads[0]!.description, deviceReason: options.deviceReason };
    for (const [slot, thread] of threads.entries()) this.#watch(thread, slot);
  }

  /** Starts the threads and waits until each has loaded the pack and warmed it up. @throws Error why one could not. */
  static async start(options: WorkerEngineOptions): Promise<WorkerEngine> {
    const threads = await Promise.all(Array.from({ length: options.workers }, () => EngineThread.start(options)));
    return new WorkerEngine(options, threads);
  }

  /** Inference threads, one per slot whether it is alive or being replaced. */
  get workers(): number {
    return this.#threads.length;
  }

  get ready(): boolean {
    return !this.#closed && this.#threads.some((thread) => thread.alive);
  }

  async open(portrait: RgbImage, options: AvatarOptions): Promise<Avatar> {
    const candidates = this.#threads.filter((thread) => thread.alive);
    if (this.#closed || candidates.length === 0) {
      throw new AppError('not_ready', 'The model is being loaded; try again shortly.', { retryAfterSeconds: 2 });
    }
    const thread = candidates.reduce((best, other) => (other.avatars < best.avatars ? other : best));
    const avatar = ++this.#lastAvatar;
    thread.avatars++;
    try {
      const { warnings } = await thread.call({ type: 'open', avatar, portrait, options }, [
        portrait.data.buffer as ArrayBuffer,
      ]);
      return new ThreadAvatar(thread, avatar, warnings);
    } catch (error) {
      thread.avatars--;
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }

  /** Replaces a thread that died; its sessions are lost, the service is not. */
  #watch(thread: EngineThread, slot: number): void {
    thread.exited.then(async (reason) => {
      if (this.#closed) return;
      const { logger } = this.#options;
      logger.error({ err: reason, slot }, 'inference thread died, starting another');
      for (let pause = 1; !this.#closed; pause = Math.min(60, 2 * pause)) {
        try {
          const replacement = await EngineThread.start(this.#options);
          if (this.#closed) return await replacement.close();
          this.#threads[slot] = replacement;
          return this.#watch(replacement, slot);
        } catch (err) {
          logger.error({ err, slot, pause }, 'inference thread could not be replaced, trying again');
          await sleep(pause * 1000, undefined, { ref: false });
        }
      }
    });
  }
}

class ThreadAvatar implements Avatar {
  readonly warnings: readonly string[];
  readonly #thread: EngineThread;
  readonly #avatar: number;
  #closed = false;

  constructor(thread: EngineThread, avatar: number, warnings: readonly string[]) {
    this.#thread = thread;
    this.#avatar = avatar;
    this.warnings = warnings;
  }

  generateMotion(window: MotionWindow): Promise<Motion> {
    return this.#thread.call({ type: 'generateMotion', avatar: this.#avatar, window }, [
      window.waveform.buffer as ArrayBuffer,
    ]);
  }

  render(motion: Motion): Promise<Uint8Array> {
    return this.#thread.call({ type: 'render', avatar: this.#avatar, motion });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#thread.avatars--;
    // A thread that dies takes the avatar with it, which is as good.
    await this.#thread.call({ type: 'close', avatar: this.#avatar }).catch((error) => {
      if (this.#thread.alive) throw error;
    });
  }
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: AppError): void;
}

/** One worker thread and the calls it owes an answer. */
class EngineThread {
  readonly description: EngineDescription;
  /** Settles, with the reason, when the thread is gone. */
  readonly exited: Promise<unknown>;
  avatars = 0;
  readonly #worker: Worker;
  readonly #logger: Logger;
  readonly #waiting = new Map<number, Waiting>();
  #lastCall = 0;
  #alive = true;

  private constructor(worker: Worker, description: EngineDescription, logger: Logger) {
    this.#worker = worker;
    this.#logger = logger;
    this.description = description;
    worker.on('message', (message: WorkerMessage) => this.#receive(message));
    this.exited = new Promise((resolve) => {
      worker.once('error', resolve);
      worker.once('exit', (code) => resolve(new Error(`exit code ${code}`)));
    }).then((reason) => {
      this.#alive = false;
      const error = new AppError('internal', 'The inference thread of this session died.', { cause: reason });
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
      return reason;
    });
  }

  static async start({ script, packDirectory, device, logger }: WorkerEngineOptions): Promise<EngineThread> {
    const setup: WorkerSetup = { packDirectory, device };
    const worker = new Worker(script, { workerData: setup });
    const [message] = (await Promise.race([
      once(worker, 'message'),
      once(worker, 'exit').then(([code]) => {
        throw new Error(`The inference thread exited with code ${code} before it was ready.`);
      }),
    ])) as [WorkerMessage];
    if (message.type === 'ready') return new EngineThread(worker, message.description, logger);
    await worker.terminate();
    const { reason } = message as Extract<WorkerMessage, { type: 'failed' }>;
    throw new Error(`The model could not be loaded on ${device}: ${reason}`);
  }

  get alive(): boolean {
    return this.#alive;
  }

  call<C extends WorkerCall>(call: C, transfer: TransferListItem[] = []): Promise<WorkerResults[C['type']]> {
    if (!this.#alive) {
      return Promise.reject(new AppError('internal', 'The inference thread of this session died.'));
    }
    const id = ++this.#lastCall;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#worker.postMessage({ id, call }, transfer);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #receive(message: WorkerMessage): void {
    if (message.type !== 'result' && message.type !== 'error') return;
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.type === 'result') waiting?.resolve(message.value);
    else waiting?.reject(this.#revive(message.failure));
  }

  #revive({ code, detail, stack }: WorkerFailure): AppError {
    if (code === 'internal') this.#logger.error({ stack }, 'inference call failed');
    return new AppError(code, detail, { cause: stack });
  }
}
