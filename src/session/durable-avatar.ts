import { setTimeout as sleep } from 'node:timers/promises';
import type { Avatar, AvatarEngine, AvatarOptions, Motion, MotionWindow } from '../avatar/engine.js';
import type { RgbImage } from '../avatar/image.js';
import { AppError } from '../errors.js';
import type { Logger } from '../log.js';

/** So many losses within so long, and it is this portrait that kills workers. */
const MOST_LOSSES = 3;
const LOSSES_WITHIN_MILLISECONDS = 60_000;
/** How long a worker may take to come back: it loads and warms up the model, which on a GPU takes a while. */
const PATIENCE_MILLISECONDS = 120_000;
const RETRY_MILLISECONDS = 250;

export interface DurableAvatarOptions {
  readonly engine: AvatarEngine;
  /** Reads the portrait; asked again whenever the avatar is opened anew, for keeping it would cost up to 120 MB. */
  readonly portrait: () => Promise<RgbImage>;
  readonly avatar: AvatarOptions;
  readonly logger: Pick<Logger, 'warn'>;
}

/**
 * An avatar that outlives the inference worker it was opened in. When that dies, it is opened again in another, and
 * what was asked for is asked for there: the caller sees a pause. Motion goes on from where it is asked for, without the
 * context that was lost with the worker.
 */
export class DurableAvatar implements Avatar {
  readonly warnings: readonly string[];
  readonly #options: DurableAvatarOptions;
  #current: Promise<Avatar>;
  /** Those whose worker is gone. */
  readonly #lost = new WeakSet<Avatar>();
  #losses: number[] = [];
  /** Why it is not opened again any more. */
  #givenUp: AppError | undefined;
  #onLost: ((reason: AppError) => void) | undefined;
  #closed = false;

  private constructor(options: DurableAvatarOptions, first: Avatar) {
    this.#options = options;
    this.warnings = first.warnings;
    this.#current = Promise.resolve(first);
    this.#watch(first);
  }

  /** @throws AppError as the engine's `open` does; errors of `portrait` */
  static async open(options: DurableAvatarOptions): Promise<DurableAvatar> {
    return new DurableAvatar(options, await options.engine.open(await options.portrait(), options.avatar));
  }

  get onLost(): ((reason: AppError) => void) | undefined {
    return this.#onLost;
  }

  /** Called at once when it is given up already. */
  set onLost(listener: ((reason: AppError) => void) | undefined) {
    this.#onLost = listener;
    if (this.#givenUp) listener?.(this.#givenUp);
  }

  generateMotion(window: MotionWindow, dueAt: number): Promise<Motion> {
    // The engine may hand the samples' memory to its worker; another try needs them again.
    return this.#do((avatar) => avatar.generateMotion({ ...window, waveform: window.waveform.slice() }, dueAt));
  }

  render(motion: Motion, dueAt: number): Promise<Uint8Array> {
    return this.#do((avatar) => avatar.render(motion, dueAt));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const avatar = await this.#current.catch(() => undefined);
    await avatar?.close();
  }

  async #do<T>(ask: (avatar: Avatar) => Promise<T>): Promise<T> {
    for (;;) {
      const avatar = await this.#current;
      try {
        return await ask(avatar);
      } catch (error) {
        if (this.#closed || !this.#lost.has(avatar)) throw error;
      }
    }
  }

  #watch(avatar: Avatar): void {
    avatar.onLost = (reason) => {
      if (this.#closed || this.#lost.has(avatar)) return;
      this.#lost.add(avatar);
      // Its worker is gone; that forgets it.
      avatar.close().catch(() => undefined);
      this.#options.logger.warn({ err: reason, cause: reason.cause }, 'avatar lost with its worker, opening it again');
      this.#current = this.#reopen(reason);
      this.#current.catch((error) => {
        this.#givenUp = AppError.from(error);
        if (!this.#closed) this.#onLost?.(this.#givenUp);
      });
      // What was opened when the session had ended already is not to stay.
      this.#current.then(
        (opened) => (this.#closed ? opened.close() : undefined),
        () => undefined,
      );
    };
  }

  async #reopen(reason: AppError): Promise<Avatar> {
    const { engine, portrait, avatar: options } = this.#options;
    const now = performance.now();
    this.#losses = [...this.#losses.filter((at) => now - at < LOSSES_WITHIN_MILLISECONDS), now];
    if (this.#losses.length >= MOST_LOSSES) throw reason;
    for (;;) {
      if (this.#closed) throw reason;
      try {
        const opened = await engine.open(await portrait(), options);
        this.#watch(opened);
        return opened;
      } catch (error) {
        const another = error instanceof AppError && error.code === 'not_ready';
        if (!another || performance.now() - now > PATIENCE_MILLISECONDS) throw error;
      }
      await sleep(RETRY_MILLISECONDS);
    }
  }
}
