import { FRAMES_PER_SECOND } from '../audio/audio-chunk-buffer.js';
import type { Avatar, Motion, MotionWindow } from '../avatar/engine.js';
import type { AppError } from '../errors.js';
import type { Instruments, SessionKind } from '../metrics/instruments.js';
import { timed } from '../metrics/timed.js';

/**
 * An avatar whose work is measured: how long motion and frames take, and the time in which any of it is under way. Seconds
 * of video by seconds of that time are the session's real-time factor; encoding goes on beside it and is not in it.
 */
export class MeasuredAvatar implements Avatar {
  readonly #avatar: Avatar;
  readonly #instruments: Instruments;
  readonly #kind: SessionKind;
  /** Calls under way, and when the first of them began. */
  #calls = 0;
  #since = 0;

  constructor(avatar: Avatar, instruments: Instruments, kind: SessionKind) {
    this.#avatar = avatar;
    this.#instruments = instruments;
    this.#kind = kind;
  }

  get warnings(): readonly string[] {
    return this.#avatar.warnings;
  }

  get onLost(): ((reason: AppError) => void) | undefined {
    return this.#avatar.onLost;
  }

  set onLost(listener: ((reason: AppError) => void) | undefined) {
    this.#avatar.onLost = listener;
  }

  generateMotion(window: MotionWindow, dueAt: number): Promise<Motion> {
    return this.#busy(() => timed(this.#instruments, 'motion', () => this.#avatar.generateMotion(window, dueAt)));
  }

  async render(motion: Motion, dueAt: number): Promise<Uint8Array> {
    const pictures = await this.#busy(() =>
      timed(this.#instruments, 'render', () => this.#avatar.render(motion, dueAt)),
    );
    this.#instruments.videoSeconds.inc({ kind: this.#kind }, motion.frames / FRAMES_PER_SECOND);
    return pictures;
  }

  close(): Promise<void> {
    return this.#avatar.close();
  }

  async #busy<T>(work: () => Promise<T>): Promise<T> {
    if (this.#calls++ === 0) this.#since = performance.now();
    try {
      return await work();
    } finally {
      if (--this.#calls === 0) {
        this.#instruments.makingSeconds.inc({ kind: this.#kind }, (performance.now() - this.#since) / 1000);
      }
    }
  }
}
