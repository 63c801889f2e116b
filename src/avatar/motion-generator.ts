import type { OnnxModel, Tensor } from '../inference/onnx-model.js';
import type { Motion, MotionParameters, MotionWindow } from './engine.js';
import { normalNoise } from './noise.js';

export interface MotionModels {
  readonly audioEncoder: OnnxModel;
  readonly motionGenerator: OnnxModel;
}

/** The pack's sizes: D motion-token width, C audio-feature width, P context frames, W fixed window or null. */
export interface MotionSizes {
  readonly tokens: number;
  readonly features: number;
  readonly context: number;
  readonly window: number | null;
  readonly normalisation: 'none' | 'zero_mean_unit_variance';
}

/**
 * Turns windows of speech into motion tokens, one session's worth: it remembers the last P frames of motion and of
 * audio features, and the overlap that the next window is cross-faded with.
 *
 * The generator's graph is the velocity field of a flow-matching model (Lipman et al., arXiv 2210.02747): noise at
 * t = 0 is carried to motion at t = 1 by Euler steps. Classifier-free guidance is inside the graph.
 */
export class MotionGenerator {
  readonly #models: MotionModels;
  readonly #sizes: MotionSizes;
  readonly #parameters: MotionParameters;
  readonly #reference: Float32Array;
  /** The P frames before the next window's first: motion `[P, D]` and features `[P, C]`; zeros before the start. */
  readonly #previousTokens: Float32Array;
  readonly #previousFeatures: Float32Array;
  /** Frames made final so far. */
  #framesBehind = 0;
  /** The previous window's version of the frames that overlap the next one, `[lead, D]`. */
  #overlap = new Float32Array(0);

  /** @param reference motion tokens of the source image, `[D]` */
  constructor(models: MotionModels, sizes: MotionSizes, parameters: MotionParameters, reference: Float32Array) {
    this.#models = models;
    this.#sizes = sizes;
    this.#parameters = parameters;
    this.#reference = reference;
    this.#previousTokens = new Float32Array(sizes.context * sizes.tokens);
    this.#previousFeatures = new Float32Array(sizes.context * sizes.features);
  }

  /** @returns the frames that this window makes final: all but those the next window generates again. */
  async generate(window: MotionWindow): Promise<Motion> {
    const { tokens: D, features: C } = this.#sizes;
    const features = await this.#encode(window);
    const generated = await this.#sample(window.startFrame, window.frames, features);
    crossFade(generated, this.#overlap, D);

    const final = window.frames - window.overlapFrames;
    this.#overlap = generated.slice(final * D);
    shiftIn(this.#previousTokens, generated.subarray(0, final * D));
    shiftIn(this.#previousFeatures, features.subarray(0, final * C));
    this.#framesBehind += final;
    return { startFrame: window.startFrame, frames: final, tokens: generated.slice(0, final * D) };
  }

  /** Audio features `[frames, C]` of the window proper; its context is heard and then dropped. */
  async #encode({ waveform, contextFrames, frames }: MotionWindow): Promise<Float32Array> {
    const C = this.#sizes.features;
    const samples = this.#sizes.normalisation === 'none' ? waveform : normalise(waveform);
    const { features } = await this.#models.audioEncoder.run({
      waveform: { data: samples, dims: [1, samples.length] },
    });
    return (features!.data as Float32Array).slice(contextFrames * C, (contextFrames + frames) * C);
  }

  /** Motion `[frames, D]`, in pieces of the pack's window where that is fixed. */
  async #sample(startFrame: number, frames: number, features: Float32Array): Promise<Float32Array> {
    const { tokens: D, features: C, window } = this.#sizes;
    if (window === null || window === frames) {
      return this.#solve(startFrame, frames, features, this.#previousTokens, this.#previousFeatures);
    }
    const motion = new Float32Array(frames * D);
    const previousTokens = this.#previousTokens.slice();
    const previousFeatures = this.#previousFeatures.slice();
    for (let at = 0; at < frames; at += window) {
      const length = Math.min(window, frames - at);
      const piece = features.subarray(at * C, (at + length) * C);
      const padded = repeatLast(piece, window, C);
      const solved = await this.#solve(startFrame + at, window, padded, previousTokens, previousFeatures, at);
      motion.set(solved.subarray(0, length * D), at * D);
      shiftIn(previousTokens, solved.subarray(0, length * D));
      shiftIn(previousFeatures, piece);
    }
    return motion;
  }

  async #solve(
    startFrame: number,
    frames: number,
    features: Float32Array,
    previousTokens: Float32Array,
    previousFeatures: Float32Array,
    /** Frames of this window that lie behind. */
    ahead = 0,
  ): Promise<Float32Array> {
    const { tokens: D, features: C, context: P } = this.#sizes;
    const { seed, nfe, cfgScale, poseStyle = [0, 0, 0], gazeStyle = [0, 0] } = this.#parameters;
    const x = new Float32Array(frames * D);
    for (let frame = 0; frame < frames; frame++) {
      for (let d = 0; d < D; d++) x[frame * D + d] = normalNoise(seed, startFrame + frame, d);
    }
    const t = new Float32Array(1);
    const feeds: Record<string, Tensor> = {
      t: { data: t, dims: [1] },
      x: { data: x, dims: [1, frames, D] },
      audio: { data: features, dims: [1, frames, C] },
      prev_x: { data: previousTokens, dims: [1, P, D] },
      prev_audio: { data: previousFeatures, dims: [1, P, C] },
      motion_ref: { data: this.#reference, dims: [1, D] },
      pose: { data: repeat(poseStyle, frames), dims: [1, frames, 3] },
      gaze: { data: repeat(gazeStyle, frames), dims: [1, frames, 2] },
      prev_pose: { data: this.#styleBehind(poseStyle, ahead), dims: [1, P, 3] },
      prev_gaze: { data: this.#styleBehind(gazeStyle, ahead), dims: [1, P, 2] },
      guidance: { data: Float32Array.of(cfgScale), dims: [1] },
    };
    // Euler over t = linspace(0, 1, nfe): nfe - 1 evaluations of the velocity field.
    const step = 1 / (nfe - 1);
    for (let k = 0; k < nfe - 1; k++) {
      t[0] = k * step;
      const { velocity } = await this.#models.motionGenerator.run(feeds);
      const v = velocity!.data as Float32Array;
      for (let i = 0; i < x.length; i++) x[i] = x[i]! + step * v[i]!;
    }
    return x;
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

/** Zero mean and unit variance over the whole window, as Wav2Vec2's feature extractor does. */
function normalise(samples: Float32Array): Float32Array {
  let sum = 0;
  for (const sample of samples) sum += sample;
  const mean = sum / samples.length;
  let squares = 0;
  for (const sample of samples) squares += (sample - mean) ** 2;
  const scale = 1 / Math.sqrt(squares / samples.length + 1e-7);
  return samples.map((sample) => (sample - mean) * scale);
}
