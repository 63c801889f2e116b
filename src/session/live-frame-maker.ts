import type { AudioWindow } from '../audio/audio-chunk-buffer.js';
import { type Avatar, cutMotion, type Motion } from '../avatar/engine.js';
import { now } from '../clock.js';
import { type LiveTimeline, PATIENCE_MILLISECONDS } from './live-timeline.js';
import { RENDER_BATCH } from './talk.js';

/** Motion of windows that were over for so long is not made any more. */
const ABANDON_MILLISECONDS = 2000;

export interface LiveFrameMakerParts {
  readonly avatar: Avatar;
  readonly timeline: LiveTimeline;
  /** Called when frames of the timeline have got their pictures. */
  readonly onPictures: () => void;
  /** Called once when the avatar fails; nothing more is made. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * Turns the windows of a live talk into the pictures of its timeline: motion one window after the other, the frames of each
 * at once. Everything is asked for by its deadline. Motion is made even of frames that come too late to be drawn, so that
 * what follows them fits.
 */
export class LiveFrameMaker {
  readonly #parts: LiveFrameMakerParts;
  /** Windows whose motion is not there yet. */
  #windows: AudioWindow[] = [];
  #isMaking = false;
  #making: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(parts: LiveFrameMakerParts) {
    this.#parts = parts;
  }

  /** Has a window's frames made, after those of the windows before. */
  add(window: AudioWindow): void {
    this.#windows.push(window);
    if (!this.#isMaking) this.#making = this.#makeAll();
  }

  /**
   * Gives up the windows that hear something from `end` on; others stay, however long they have been waiting.
   * @returns the first frame of those given up; undefined where there are none
   */
  giveUp(end: number): number | undefined {
    const kept = this.#windows.filter(({ startFrame, frames }) => startFrame + frames <= end);
    const first = this.#windows[kept.length]?.startFrame;
    this.#windows = kept;
    return first;
  }

  /** Begins nothing more. Idempotent. */
  stop(): void {
    this.#stopped = true;
  }

  /** Resolves when nothing is under way. */
  settled(): Promise<void> {
    return this.#making;
  }

  async #makeAll(): Promise<void> {
    this.#isMaking = true;
    try {
      await this.#makeEach();
    } catch (error) {
      if (!this.#stopped) this.#parts.onFailure(error);
    }
    this.#isMaking = false;
  }

  async #makeEach(): Promise<void> {
    const { avatar, timeline } = this.#parts;
    for (let window = this.#windows[0]; window && !this.#stopped; window = this.#windows[0]) {
      // Where the model was away, what is long over is left out, and motion begins anew.
      const over = timeline.dueAt(window.startFrame + window.frames) + ABANDON_MILLISECONDS < now();
      if (over && this.#windows.length > 1) {
        this.#windows.shift();
        continue;
      }
      const motion = await avatar.generateMotion(window, timeline.dueAt(window.startFrame));
      // An interruption has taken it back.
      if (window !== this.#windows[0]) continue;
      this.#windows.shift();
      await Promise.all(cutMotion(motion, RENDER_BATCH).map((piece) => this.#draw(piece)));
    }
  }

  async #draw(motion: Motion): Promise<void> {
    if (this.#stopped) return;
    const { avatar, timeline, onPictures } = this.#parts;
    const { startFrame, frames } = motion;
    if (now() > timeline.dueAt(startFrame + frames - 1) + PATIENCE_MILLISECONDS) {
      return this.#drawLate(cutMotion(motion, 1)[frames - 1]!);
    }
    // Looked up now: after an interruption other frames have these numbers.
    const places = Array.from({ length: frames }, (_, i) => timeline.at(startFrame + i));
    if (places.every((place) => !place)) return;
    const pictures = await avatar.render(motion, timeline.dueAt(startFrame));
    const bytes = pictures.byteLength / frames;
    for (const [i, place] of places.entries()) {
      if (place) place.picture = pictures.subarray(i * bytes, (i + 1) * bytes);
    }
    onPictures();
  }

  /** Of frames whose time is over the last one is drawn all the same, for the picture that stands in to be a new one. */
  async #drawLate(motion: Motion): Promise<void> {
    const { avatar, timeline } = this.#parts;
    timeline.keep(await avatar.render(motion, now()), motion.startFrame);
  }
}
