// An avatar whose frames carry a time code.
import { clickIn } from './clicks.mjs';
import { drawCode } from './time-code.mjs';

/** Samples of the model's sound (16 kHz) under one frame. */
const SAMPLES_PER_FRAME = 640;
/** Frames behind the newest that may still be drawn: what an interruption goes back over, and more. */
const KEPT_FRAMES = 500;

/** Milliseconds since the epoch, as the service's own clock tells them. */
export function clock() {
  return performance.timeOrigin + performance.now();
}

/** Wraps an `Avatar` (src/avatar/engine.ts): each frame gets its code in the moment it has been drawn. */
export class StampingAvatar {
  #inner;
  #size;
  #session;
  /** Frames with a click in their sound, and where in it. */
  #clicks = new Map();

  /**
   * @param inner the avatar that draws
   * @param size `{width, height}` of its frames
   * @param session number that goes into the code
   */
  constructor(inner, size, session) {
    this.#inner = inner;
    this.#size = size;
    this.#session = session;
  }

  get warnings() {
    return this.#inner.warnings;
  }

  get onLost() {
    return this.#inner.onLost;
  }

  set onLost(listener) {
    this.#inner.onLost = listener;
  }

  generateMotion(window, dueAt) {
    const { startFrame, frames, overlapFrames, contextFrames, waveform } = window;
    // Now: the samples may be handed to another thread.
    for (let i = 0; i < frames - overlapFrames; i++) {
      const start = (contextFrames + i) * SAMPLES_PER_FRAME;
      const at = clickIn(waveform, start, start + SAMPLES_PER_FRAME);
      // A window may come again with other sound, after an interruption.
      if (at === undefined) this.#clicks.delete(startFrame + i);
      else this.#clicks.set(startFrame + i, at);
    }
    for (const frame of this.#clicks.keys()) if (frame < startFrame - KEPT_FRAMES) this.#clicks.delete(frame);
    return this.#inner.generateMotion(window, dueAt);
  }

  async render(motion, dueAt) {
    const { startFrame, frames } = motion;
    const { width, height } = this.#size;
    const pictures = await this.#inner.render(motion, dueAt);
    const drawnAt = clock();
    const bytes = pictures.byteLength / frames;
    for (let i = 0; i < frames; i++) {
      const frame = startFrame + i;
      const code = { drawnAt, frame, session: this.#session, click: this.#clicks.get(frame) };
      drawCode(pictures.subarray(i * bytes, (i + 1) * bytes), width, height, code);
    }
    return pictures;
  }

  close() {
    return this.#inner.close();
  }
}
