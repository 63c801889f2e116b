import { SampleQueue } from './sample-queue.js';

/** Rate of the samples the models hear, Hz. */
export const MODEL_SAMPLE_RATE = 16_000;
export const FRAMES_PER_SECOND = 25;
/** Samples of one frame. */
export const SAMPLES_PER_FRAME = MODEL_SAMPLE_RATE / FRAMES_PER_SECOND;
const OVERLAP = 0.2;

/** A stretch of sound for one inference. Positions and lengths in frames. */
export interface AudioWindow {
  /** Absolute position of the first frame. */
  readonly startFrame: number;
  /** Frames to generate motion for. */
  readonly frames: number;
  /** Frames at the end that the next window generates again; 0 for the last. */
  readonly overlapFrames: number;
  /** Frames of sound before `startFrame` at the head of `waveform`: as many as configured, fewer near the start. */
  readonly contextFrames: number;
  /** (contextFrames + frames) * 640 samples at 16 kHz; the last frame of the last window is padded with silence. */
  readonly waveform: Float32Array;
}

export interface AudioChunkBufferOptions {
  /** Length of a window in seconds; rounded to whole frames, at least 2. */
  readonly chunkDurationSeconds: number;
  /** Frames of sound that precede a window in its waveform. */
  readonly contextFrames: number;
  /**
   * Samples that come by the clock and have no end: a window is handed out as soon as it is full. Up to this many frames
   * may then be taken back. Absent: what comes is a recording with an end.
   */
  readonly liveFrames?: number;
  /** Where the first sample lies. Default 0. */
  readonly startFrame?: number;
}

/**
 * Cuts a stream of samples into overlapping windows of whole frames.
 *
 * Window k starts at frame k * (windowFrames - overlapFrames). Which windows come out depends on the samples alone, not
 * on how they were cut nor on when `finish()` came: a window is handed out only when it is known whether it is the last,
 * that is, when a sample behind its end has been pushed or the stream is finished. Every frame lies in the part of
 * exactly one window that is not overlap, so the sum of (frames - overlapFrames) is ceil(samples / 640).
 *
 * A live stream has no last window, so there a full window is handed out at once; and `rewind` takes sound back that has
 * been handed out: the next window then starts where that begins.
 */
export class AudioChunkBuffer {
  readonly windowFrames: number;
  readonly overlapFrames: number;
  readonly #contextFrames: number;
  readonly #liveFrames: number | undefined;
  readonly #firstFrame: number;
  readonly #samples: SampleQueue;
  /** Where the next window starts: every frame before it has been handed out outside of an overlap. */
  #nextStartFrame: number;
  #finished = false;

  constructor({ chunkDurationSeconds, contextFrames, liveFrames, startFrame = 0 }: AudioChunkBufferOptions) {
    this.#firstFrame = startFrame;
    this.#samples = new SampleQueue(startFrame * SAMPLES_PER_FRAME);
    this.#nextStartFrame = startFrame;
    this.windowFrames = Math.max(2, Math.round(chunkDurationSeconds * FRAMES_PER_SECOND));
    this.overlapFrames = Math.min(Math.max(1, Math.round(OVERLAP * this.windowFrames)), this.windowFrames - 1);
    this.#contextFrames = contextFrames;
    this.#liveFrames = liveFrames;
  }

  /** Where the samples end: how many were pushed, and those before the start. */
  get totalSamples(): number {
    return this.#samples.end;
  }

  /** Frames that the samples so far make, a begun one included. Final after `finish()`. */
  get totalFrames(): number {
    return Math.ceil(this.totalSamples / SAMPLES_PER_FRAME);
  }

  /** Samples for which memory is held. */
  get capacity(): number {
    return this.#samples.capacity;
  }

  /**
   * @param samples 16 kHz mono; copied.
   * @throws Error after `finish()`.
   */
  push(samples: Float32Array): void {
    if (this.#finished) throw new Error('The audio is finished; nothing can follow.');
    this.#samples.append(samples);
  }

  /** Where the next window starts. */
  get nextStartFrame(): number {
    return this.#nextStartFrame;
  }

  /**
   * Takes back sound that was pushed, and windows with it.
   * @param startFrame where the next window starts: not behind where it would have, nor more than `liveFrames` before it
   * @param endFrame the samples from here on are taken back; not before `startFrame`
   * @param fadeSamples the first of them stay and fade to silence
   */
  rewind(startFrame: number, endFrame: number, fadeSamples: number): void {
    if (startFrame > this.#nextStartFrame) throw new RangeError(`Frame ${startFrame} has not been handed out yet.`);
    if (startFrame > endFrame) throw new RangeError(`Frame ${startFrame} lies behind ${endFrame}.`);
    this.#samples.takeBack(endFrame * SAMPLES_PER_FRAME, fadeSamples);
    this.#nextStartFrame = startFrame;
  }

  /** No more samples will come: the remaining windows can be handed out. Idempotent. */
  finish(): void {
    this.#finished = true;
  }

  /** The next window, or undefined when it needs more samples or there is none left. */
  next(): AudioWindow | undefined {
    const startFrame = this.#nextStartFrame;
    const endFrame = startFrame + this.windowFrames;
    const live = this.#liveFrames !== undefined;
    const last = live
      ? this.totalSamples < endFrame * SAMPLES_PER_FRAME
      : this.totalSamples <= endFrame * SAMPLES_PER_FRAME;
    if (last && (!this.#finished || startFrame === this.totalFrames)) return undefined;

    const frames = last ? this.totalFrames - startFrame : this.windowFrames;
    const overlapFrames = last ? 0 : this.overlapFrames;
    const contextFrames = Math.min(this.#contextFrames, startFrame - this.#firstFrame);
    const waveform = this.#samples.read(
      (startFrame - contextFrames) * SAMPLES_PER_FRAME,
      (startFrame + frames) * SAMPLES_PER_FRAME,
    );
    this.#nextStartFrame = startFrame + frames - overlapFrames;
    const kept = this.#contextFrames + (this.#liveFrames ?? 0);
    this.#samples.forgetBefore((this.#nextStartFrame - kept) * SAMPLES_PER_FRAME);
    return { startFrame, frames, overlapFrames, contextFrames, waveform };
  }
}
