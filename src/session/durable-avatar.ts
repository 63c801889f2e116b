import { setTimeout as sleep } from 'node:timers/promises';
import type { Avatar, AvatarEngine, AvatarOptions, Motion, MotionWindow } from '../avatar/engine.js';
import type { RgbImage } from '../avatar/image.js';
import { AppError, type ErrorCode } from '../errors.js';
import type { Logger } from '../log.js';

/** So many losses within so long, and it is this portrait that kills workers. */
const MOST_LOSSES = 3;
const LOSSES_WITHIN_MILLISECONDS = 300_000;
/** How long a worker may take to come back: it loads and warms up the model, which on a GPU takes a while. */
const PATIENCE_MILLISECONDS = 120_000;
const RETRY_MILLISECONDS = 250;
/** Refusals that pass: a worker is being started, or another session goes. */
const OTHERS_MAKE_ROOM: ReadonlySet<ErrorCode> = new Set(['not_ready', 'gpu_memory_full']);

export interface DurableAvatarOptions {
  readonly engine: AvatarEngine;
  /** Reads the portrait; asked again whenever the avatar is opened anew, for keeping it would cost up to 12 MB. */
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
  /** The avatar of the moment, while it is there. */
  #opened: Avatar | undefined;
  /** The same as soon as it is there. */
  #current: Promise<Avatar>;
  /** Those whose worker is gone. */
  readonly #lost = new WeakSet<Avatar>();
  #losses: number[] = [];
  /** Why it is not opened again any more. */
  #givenUp: AppError | undefined;
  #onLost: ((reason: AppError) => void) | undefined;
  /** Settles when it is closed: nobody waits on for an avatar that is still being opened. */
  readonly #closing = new AbortController();

  private constructor(options: DurableAvatarOptions, first: Avatar | undefined, serving?: Promise<void>) {
    this.#options = options;
    this.warnings = first?.warnings ?? [];
    if (first) {
      this.#current = Promise.resolve(first);
      this.#watch(first);
    } else this.#current = this.#open(serving);
  }

  /** @throws AppError as the engine's `open` does; errors of `portrait` */
  static async open(options: DurableAvatarOptions): Promise<DurableAvatar> {
    return new DurableAvatar(options, await options.engine.open(await options.portrait(), options.avatar));
  }

  /**
   * An avatar of a session that comes back: it is opened behind the caller's back, as soon as the engine can, and what is asked for
   * meanwhile waits. Where that fails it is lost.
   * @param serving resolves when the engine opens avatars; however long that takes, it is no failure, and no portrait is read before
   */
  static reopen(options: DurableAvatarOptions, serving?: Promise<void>): DurableAvatar {
    return new DurableAvatar(options, undefined, serving);
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
    this.#closing.abort(new AppError('session_closed', 'The session was closed.'));
    // One that is still being opened is closed when it is.
    await this.#opened?.close();
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  async #do<T>(ask: (avatar: Avatar) => Promise<T>): Promise<T> {
    for (;;) {
      const avatar = this.#opened ?? (await this.#whenOpened());
      try {
        return await ask(avatar);
      } catch (error) {
        if (this.#closed || !this.#lost.has(avatar)) throw error;
      }
    }
  }

  /** @throws AppError why it was given up, or `session_closed` */
  async #whenOpened(): Promise<Avatar> {
    const { signal } = this.#closing;
    signal.throwIfAborted();
    let giveUp: (() => void) | undefined;
    const closing = new Promise<never>((_resolve, reject) => {
      giveUp = () => reject(signal.reason);
      signal.addEventListener('abort', giveUp);
    });
    try {
      return await Promise.race([this.#current, closing]);
    } finally {
      signal.removeEventListener('abort', giveUp!);
    }
  }

  #watch(avatar: Avatar): void {
    this.#opened = avatar;
    avatar.onLost = (reason) => {
      if (this.#closed || this.#lost.has(avatar)) return;
      this.#lost.add(avatar);
      this.#opened = undefined;
      // Its worker is gone; that forgets it.
      avatar.close().catch(() => undefined);
      this.#options.logger.warn({ err: reason, cause: reason.cause }, 'avatar lost with its worker, opening it again');
      const now = performance.now();
      this.#losses = [...this.#losses.filter((at) => now - at < LOSSES_WITHIN_MILLISECONDS), now];
      this.#current = this.#losses.length >= MOST_LOSSES ? this.#giveUp(reason) : this.#open();
      this.#current.catch(() => undefined);
    };
  }

  /** Opens it where and as soon as that can be. */
  #open(serving?: Promise<void>): Promise<Avatar> {
    const opening = this.#openPatiently(serving).catch((error) => this.#giveUp(error));
    // Whoever asks for something hears of it.
    opening.catch(() => undefined);
    return opening;
  }

  async #openPatiently(serving?: Promise<void>): Promise<Avatar> {
    const { engine, portrait, avatar: options } = this.#options;
    await serving;
    const begun = performance.now();
    for (;;) {
      this.#closing.signal.throwIfAborted();
      try {
        const opened = await engine.open(await portrait(), options);
        // What was opened when the session had ended already is not to stay.
        if (this.#closed) await opened.close();
        else this.#watch(opened);
        return opened;
      } catch (error) {
        const soon = error instanceof AppError && OTHERS_MAKE_ROOM.has(error.code);
        if (!soon || performance.now() - begun > PATIENCE_MILLISECONDS) throw error;
      }
      await sleep(RETRY_MILLISECONDS);
    }
  }

  async #giveUp(error: unknown): Promise<never> {
    this.#givenUp = AppError.from(error);
    if (!this.#closed) this.#onLost?.(this.#givenUp);
    throw this.#givenUp;
  }
}
