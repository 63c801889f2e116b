import { MOST_REWOUND_FRAMES, type Motion, type MotionParameters, type MotionWindow } from './engine.js';
import type { FlowOptions, FlowProblem } from './flow-sampler.js';
import { normalNoise } from './noise.js';

/** The pack's sizes: D motion-token width, C audio-feature width, P context frames, W fixed window or null. */
export interface MotionSizes {
  readonly tokens: number;
  readonly features: number;
  readonly context: number;
  readonly window: number | null;
}

/** Frames over which motion that is generated again takes over from what it replaces. */
const REWIND_BLEND_FRAMES = 3;

/**
 * Turns windows of audio features into motion tokens, one session's worth: it remembers the last frames of motion and of
 * features, and the overlap that the next window is cross-faded with. It says which ODEs are to be solved and leaves
 * solving them to whoever asks, who may do so for several sessions at once.
 *
 * The first window may start anywhere. Another may start before frames that are final already: these are forgotten, and the
 * new motion takes over from them within three frames; where they are not remembered any more, or it starts behind them, it begins anew.
 */
export class MotionGenerator {
  readonly options: FlowOptions;
  readonly #sizes: MotionSizes;
  readonly #parameters: MotionParameters;
  readonly #reference: Float32Array;
  /** The P + 75 frames before the next window's first: motion `[, D]` and features `[, C]`; zeros before the start. */
  readonly #pastTokens: Float32Array;
  readonly #pastFeatures: Float32Array;
  /** The frame behind the last final one; undefined before the first window, which may start anywhere. */
  #end: number | undefined;
  /** Frames made final so far. */
  #framesBehind = 0;
  /** The previous window's version of the frames that overlap the next one, `[lead, D]`. */
  #overlap = new Float32Array(0);

  /** @param reference motion tokens of the source image, `[D]` */
  constructor(sizes: MotionSizes, parameters: MotionParameters, reference: Float32Array) {
    this.options = { nfe: parameters.nfe, cfgScale: parameters.cfgScale };
    this.#sizes = sizes;
    this.#parameters = parameters;
    this.#reference = reference;
    this.#pastTokens = new Float32Array((sizes.context + MOST_REWOUND_FRAMES) * sizes.tokens);
    this.#pastFeatures = new Float32Array((sizes.context + MOST_REWOUND_FRAMES) * sizes.features);
  }

  /**
   * Yields one problem after another and wants each one's solution `[W, D]` back.
   * @param features of the window proper, `[frames, C]`
   * @returns the frames that this window makes final: all but those the next window generates again.
   */
  *generate(window: MotionWindow, features: Float32Array): Generator<FlowProblem, Motion, Float32Array> {
    const { tokens: D, features: C } = this.#sizes;
    this.#end ??= window.startFrame;
    if (window.startFrame !== this.#end) this.#rewind(window.startFrame);
    const generated = yield* this.#sample(window.startFrame, window.frames, features);
    crossFade(generated, this.#overlap, D);

    const final = window.frames - window.overlapFrames;
    this.#overlap = generated.slice(final * D);
    shiftIn(this.#pastTokens, generated.subarray(0, final * D));
    shiftIn(this.#pastFeatures, features.subarray(0, final * C));
    this.#framesBehind += final;
    this.#end += final;
    return { startFrame: window.startFrame, frames: final, tokens: generated.slice(0, final * D) };
  }

  /** Forgets the final frames from this one on; the first of them are what the next window is cross-faded with. */
  #rewind(startFrame: number): void {
    const { tokens: D, features: C } = this.#sizes;
    const frames = this.#end! - startFrame;
    if (frames < 0 || frames > Math.min(this.#framesBehind, MOST_REWOUND_FRAMES)) {
      this.#forget(startFrame);
      return;
    }
    const tail = this.#pastTokens.slice(this.#pastTokens.length - frames * D);
    this.#overlap = tail.slice(0, REWIND_BLEND_FRAMES * D);
    shiftOut(this.#pastTokens, frames * D);
    shiftOut(this.#pastFeatures, frames * C);
    this.#framesBehind -= frames;
    this.#end = startFrame;
  }

  /** Begins anew. */
  #forget(startFrame: number): void {
    this.#pastTokens.fill(0);
    this.#pastFeatures.fill(0);
    this.#overlap = new Float32Array(0);
    this.#framesBehind = 0;
    this.#end = startFrame;
  }

  /** Motion `[frames, D]`, in pieces of the pack's window where that is fixed. */
  *#sample(
    startFrame: number,
    frames: number,
    features: Float32Array,
  ): Generator<FlowProblem, Float32Array, Float32Array> {
    const { tokens: D, features: C } = this.#sizes;
    const window = this.#sizes.window ?? frames;
    const motion = new Float32Array(frames * D);
    const previousTokens = this.#pastTokens.slice(MOST_REWOUND_FRAMES * D);
    const previousFeatures = this.#pastFeatures.slice(MOST_REWOUND_FRAMES * C);
    for (let at = 0; at < frames; at += window) {
      const length = Math.min(window, frames - at);
      const piece = features.subarray(at * C, (at + length) * C);
      const solved = yield this.#problem(startFrame + at, at, {
        frames: window,
        audio: repeatLast(piece, window, C),
        prev_x: previousTokens.slice(),
        prev_audio: previousFeatures.slice(),
      });
      motion.set(solved.subarray(0, length * D), at * D);
      shiftIn(previousTokens, solved.subarray(0, length * D));
      shiftIn(previousFeatures, piece);
    }
    return motion;
  }

  /** @param ahead frames of the same window that lie behind */
  #problem(
    startFrame: number,
    ahead: number,
    known: Pick<FlowProblem, 'frames' | 'audio' | 'prev_x' | 'prev_audio'>,
  ): FlowProblem {
    const D = this.#sizes.tokens;
    const { seed, poseStyle = [0, 0, 0], gazeStyle = [0, 0] } = this.#parameters;
    const { frames } = known;
    const x = new Float32Array(frames * D);
    for (let frame = 0; frame < frames; frame++) {
      for (let d = 0; d < D; d++) x[frame * D + d] = normalNoise(seed, startFrame + frame, d);
    }
    return {
      ...known,
      x,
      motion_ref: this.#reference,
      pose: repeat(poseStyle, frames),
      gaze: repeat(gazeStyle, frames),
      prev_pose: this.#styleBehind(poseStyle, ahead),
      prev_gaze: this.#styleBehind(gazeStyle, ahead),
    };
  }

  /** Style rows of the P context frames; frames before the session's first have none. */
  #styleBehind(style: readonly number[], ahead: number): Float32Array {
    const rows = repeat(style, this.#sizes.context);
    const missing = Math.max(0, this.#sizes.context - this.#framesBehind - ahead);
    return rows.fill(0, 0, missing * style.length);
  }
}

/**
 * Blends the head of a new window with the old window's version of the same frames, in place. Weights rise linearly
 * from old to new and never reach 0 or 1, so that neither window's edge frame stands alone.
 * @param current `[frames, width]`, the new window
 * @param overlap `[lead, width]`, the old window's tail
 */
export function crossFade(current: Float32Array, overlap: Float32Array, width: number): void {
  const lead = overlap.length / width;
  for (let i = 0; i < overlap.length; i++) {
    const fresh = (Math.floor(i / width) + 1) / (lead + 1);
    current[i] = fresh * current[i]! + (1 - fresh) * overlap[i]!;
  }
}

/** Pushes rows in at the end of a fixed-length history, dropping the oldest. */
function shiftIn(history: Float32Array, rows: Float32Array): void {
  if (rows.length >= history.length) {
    history.set(rows.subarray(rows.length - history.length));
    return;
  }
  history.copyWithin(0, rows.length);
  history.set(rows, history.length - rows.length);
}

/** Takes values off the end of a fixed-length history; zeros move in at its beginning. */
function shiftOut(history: Float32Array, values: number): void {
  history.copyWithin(values, 0);
  history.fill(0, 0, values);
}

function repeat(row: readonly number[], times: number): Float32Array {
  const rows = new Float32Array(row.length * times);
  for (let i = 0; i < times; i++) rows.set(row, i * row.length);
  return rows;
}

/** `rows` lengthened to `length` rows by repeating the last. */
function repeatLast(rows: Float32Array, length: number, width: number): Float32Array {
  if (rows.length === length * width) return rows;
  const padded = new Float32Array(length * width);
  padded.set(rows);
  const last = rows.subarray(rows.length - width);
  for (let at = rows.length; at < padded.length; at += width) padded.set(last, at);
  return padded;
}
