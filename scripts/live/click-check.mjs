// Whether clicks that were fed are in the stream where they belong: in its sound, and in its pictures.
import { findClick } from './clicks.mjs';

const SOUND_RATE = 48_000;
const SAMPLES_PER_FRAME = 1920;
const SAMPLES_PER_MODEL_SAMPLE = 3;
/** A click is looked for so far from where it belongs. */
const REACH_SECONDS = 0.15;
/** So much like a click, and so loud, is one. */
const LIKENESS = 0.7;
const LEVEL = 0.4;
/** What has been decoded is kept for so long. */
const KEPT_SECONDS = 60;
/** Frames that the sound of an interruption may lie on either side of what is told of it. */
const UNSURE_FRAMES = 10;

/** Collects what is decoded and told, and measures click after click. */
export class ClickCheck {
  /** `{frame, soundOffset, pictureOffset?}` in milliseconds; without a picture where a late one hid the mark. */
  measured = [];
  missing = 0;
  /** Clicks of speech that was interrupted before and is in the stream all the same. */
  unwanted = 0;
  #sound = new Float32Array(0);
  #firstSample = 0;
  /** Marks of clicks in pictures, by frame; undefined where the picture is not that frame's own. */
  #marks = new Map();
  #pending = [];

  /** What was decoded next, as `readSegments` gives it. */
  add({ firstFrame, codes, firstSample, sound }) {
    for (const [i, code] of codes.entries()) {
      const frame = firstFrame + i;
      this.#marks.set(frame, code?.frame === frame ? { click: code.click } : undefined);
    }
    const kept = this.#sound.subarray(Math.max(0, this.#sound.length - KEPT_SECONDS * SOUND_RATE));
    const whole = new Float32Array(kept.length + sound.length);
    whole.set(kept);
    whole.set(sound, kept.length);
    this.#sound = whole;
    this.#firstSample = firstSample - kept.length;
    const oldest = this.#firstSample / SAMPLES_PER_FRAME;
    for (const frame of this.#marks.keys()) if (frame < oldest) this.#marks.delete(frame);
    this.#measureAll();
  }

  /**
   * Speech that was fed and has begun.
   * @param startFrame frame of the timeline it began with; `clicks`: seconds of it; `interruptedAt`: frame, if it was
   */
  expect({ startFrame, clicks, interruptedAt }) {
    for (const seconds of clicks) {
      const at = startFrame * SAMPLES_PER_FRAME + Math.round(seconds * SOUND_RATE);
      const behind = interruptedAt === undefined ? -Infinity : at / SAMPLES_PER_FRAME - interruptedAt;
      // At the interruption itself nobody can tell.
      if (Math.abs(behind) > UNSURE_FRAMES) this.#pending.push({ at, wanted: behind < 0 });
    }
    this.#measureAll();
  }

  #measureAll() {
    const decoded = this.#firstSample + this.#sound.length - REACH_SECONDS * SOUND_RATE - 1024;
    const due = this.#pending.filter(({ at }) => at < decoded);
    this.#pending = this.#pending.filter(({ at }) => at >= decoded);
    for (const click of due) this.#measure(click);
  }

  #measure({ at, wanted }) {
    const found = findClick(this.#sound, SOUND_RATE, at - this.#firstSample, REACH_SECONDS * SOUND_RATE);
    const isThere = found !== undefined && found.likeness > LIKENESS && found.level > LEVEL;
    if (!wanted) {
      if (isThere) this.unwanted++;
      return;
    }
    if (!isThere) {
      this.missing++;
      return;
    }
    const heardAt = found.at + this.#firstSample;
    const milliseconds = (samples) => (samples * 1000) / SOUND_RATE;
    const shownAt = this.#shownNear(Math.floor(at / SAMPLES_PER_FRAME));
    this.measured.push({
      frame: at / SAMPLES_PER_FRAME,
      soundOffset: milliseconds(heardAt - at),
      ...(shownAt !== undefined && { pictureOffset: milliseconds(shownAt - heardAt) }),
    });
  }

  /** Sample of the timeline that the nearest mark in a picture stands for. */
  #shownNear(frame) {
    for (const away of [0, -1, 1, -2, 2, -3, 3]) {
      const click = this.#marks.get(frame + away)?.click;
      if (click !== undefined) return (frame + away) * SAMPLES_PER_FRAME + click * SAMPLES_PER_MODEL_SAMPLE;
    }
    return undefined;
  }
}
