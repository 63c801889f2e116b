import type { Instruments } from '../metrics/instruments.js';
import type { Part } from './packager.js';

export interface PartTimingOptions {
  readonly fps: number;
  readonly soundRate: number;
  /** Frames come by the clock, so that a part has an instant at which it is due. */
  readonly live: boolean;
  readonly instruments: Instruments | undefined;
}

/** Follows a stream's frames from the writer into parts: how many are between, how long it takes, how late it is. */
export class PartTiming {
  readonly #options: PartTimingOptions;
  /** When frames were written, oldest first, by `performance.now()`; up to the last one that is in a part. */
  #written: { readonly endFrame: number; readonly at: number }[] = [];
  /** When frame 0 was written, or would have been. */
  #startedAt: number | undefined;
  #endFrame = 0;
  #listedFrame = 0;
  #soundOffsetSeconds = 0;

  constructor(options: PartTimingOptions) {
    this.#options = options;
  }

  /** Frames written that are in no part. */
  get framesKept(): number {
    return this.#endFrame - this.#listedFrame;
  }

  /** End of the sound less end of the picture in the newest part. */
  get soundOffsetSeconds(): number {
    return this.#soundOffsetSeconds;
  }

  /** Frames are about to be written. */
  write(firstFrame: number, count: number): void {
    const at = performance.now();
    if (this.#startedAt === undefined) {
      this.#startedAt = at - (firstFrame * 1000) / this.#options.fps;
      this.#listedFrame = firstFrame;
    }
    this.#endFrame = firstFrame + count;
    this.#written.push({ endFrame: this.#endFrame, at });
  }

  /** A part has just been listed. */
  list({ firstFrame, frames, soundSurplus }: Part): void {
    const { fps, soundRate, live, instruments } = this.#options;
    const now = performance.now();
    const endFrame = firstFrame + frames;
    this.#listedFrame = endFrame;
    this.#soundOffsetSeconds = soundSurplus / soundRate;
    this.#written = this.#written.filter((each) => each.endFrame >= endFrame);
    const lastWritten = this.#written[0]?.at ?? now;
    instruments?.stageSeconds.observe({ stage: 'encode' }, (now - lastWritten) / 1000);
    if (!live || this.#startedAt === undefined) return;
    const dueAt = this.#startedAt + (endFrame * 1000) / fps;
    // The last part of a talk, and one that ends early, may come before its picture would be over.
    instruments?.partLateness.observe(Math.max(0, now - dueAt) / 1000);
  }
}
