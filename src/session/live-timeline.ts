import {
  type AudioChunkBuffer,
  type AudioWindow,
  FRAMES_PER_SECOND,
  MODEL_SAMPLE_RATE,
  SAMPLES_PER_FRAME,
} from '../audio/audio-chunk-buffer.js';
import { SampleQueue } from '../audio/sample-queue.js';
import { SOUND_PER_SAMPLE, type TimelineSound } from './live-speech.js';

const FRAME_MILLISECONDS = 1000 / FRAMES_PER_SECOND;
const SOUND_PER_FRAME = SAMPLES_PER_FRAME * SOUND_PER_SAMPLE;
/** Sound that is cut off fades within 10 ms, or it would click. */
const FADE_SAMPLES = MODEL_SAMPLE_RATE / 100;

/** A frame that is later than this is not waited for: the one before it stays in the picture, and sound and clock go on. */
export const PATIENCE_MILLISECONDS = 200;

/** One frame of the timeline whose sound is known. */
export interface LiveFrame {
  /** Samples at 16 kHz that are speech, and where they end among all that were ever taken. */
  readonly speechSamples: number;
  readonly position: number;
  picture: Uint8Array | undefined;
}

/**
 * Where everything in a live talk has its place: frame n is due n / 25 s after the beginning. Sound is placed a window at a
 * time, so there are frames ahead whose sound is known and whose pictures are still to come. It looks at no clock, and
 * nothing happens here by itself.
 */
export class LiveTimeline {
  readonly startFrame: number;
  readonly #windows: AudioChunkBuffer;
  /** When frame 0 is due, or would have been; never until `begin`. */
  #begin = Number.POSITIVE_INFINITY;
  #frames: number;
  /** Frames from the next one to be shown on. */
  readonly #ahead: LiveFrame[] = [];
  /** The sound for the listeners, and how much of it was taken. */
  readonly #sound: SampleQueue;
  #soundTaken: number;
  #standIn: Uint8Array | undefined;
  #standInFrame = -1;

  /**
   * @param windows of a live stream; they hear what is placed here
   * @param startFrame where they begin
   */
  constructor(windows: AudioChunkBuffer, startFrame: number) {
    this.startFrame = startFrame;
    this.#windows = windows;
    this.#frames = startFrame;
    this.#soundTaken = startFrame * SOUND_PER_FRAME;
    this.#sound = new SampleQueue(this.#soundTaken);
  }

  /** Says when the first frame is due, milliseconds by `now`. */
  begin(at: number): void {
    this.#begin = at - this.startFrame * FRAME_MILLISECONDS;
  }

  /** Has every frame due so much later. */
  putOff(milliseconds: number): void {
    this.#begin += milliseconds;
  }

  dueAt(frame: number): number {
    return this.#begin + frame * FRAME_MILLISECONDS;
  }

  /** Number of the next frame to be shown. */
  get frames(): number {
    return this.#frames;
  }

  /** The next frame to be shown, if its sound is known. */
  get next(): LiveFrame | undefined {
    return this.#ahead[0];
  }

  /** A frame that is still to be shown; undefined for every other. */
  at(frame: number): LiveFrame | undefined {
    return this.#ahead[frame - this.#frames];
  }

  /** Samples at 16 kHz of speech that are placed and not shown yet. */
  get speechSamples(): number {
    return sumOfSpeech(this.#ahead);
  }

  /** First frame of the window that is placed next. */
  get nextWindowFrame(): number {
    return this.#windows.nextStartFrame;
  }

  /** Samples at 16 kHz that the next window lacks; 0 where an interruption of a talk that lags left it whole. */
  get missingSamples(): number {
    return Math.max(0, this.#windowEnd * SAMPLES_PER_FRAME - this.#windows.totalSamples);
  }

  get #windowEnd(): number {
    return this.#windows.nextStartFrame + this.#windows.windowFrames;
  }

  /**
   * Places the sound that the next window lacks.
   * @param sound `missingSamples` of it
   */
  place({ forModel, forStream, speechSamples, position }: TimelineSound): AudioWindow | undefined {
    const from = this.#windows.totalSamples;
    const end = this.#windowEnd;
    this.#sound.append(forStream);
    this.#windows.push(forModel);
    for (let frame = this.#frames + this.#ahead.length; frame < end; frame++) {
      const first = Math.max(from, frame * SAMPLES_PER_FRAME);
      const last = Math.min(from + speechSamples, (frame + 1) * SAMPLES_PER_FRAME);
      this.#ahead.push({
        speechSamples: Math.max(0, last - first),
        position: position + Math.max(0, last - from),
        picture: undefined,
      });
    }
    return this.#windows.next();
  }

  /** The first frame that is neither shown nor heard. */
  get firstUnheard(): number {
    return Math.max(this.#soundTaken / SOUND_PER_FRAME, this.#frames);
  }

  /**
   * Takes back what is placed from a frame on; its sound fades away there.
   * @param end not before `firstUnheard`
   * @param windowFrame where the windows begin anew, if that is before `end`
   * @returns samples at 16 kHz of speech among it
   */
  takeBack(end: number, windowFrame = end): number {
    this.#windows.rewind(Math.min(end, this.#windows.nextStartFrame, windowFrame), end, FADE_SAMPLES);
    this.#sound.takeBack(end * SOUND_PER_FRAME, FADE_SAMPLES * SOUND_PER_SAMPLE);
    return sumOfSpeech(this.#ahead.splice(end - this.#frames));
  }

  /** The next frame has been shown. */
  advance(): void {
    this.#ahead.shift();
    this.#frames++;
  }

  /** The sound that was not taken yet, up to a frame's start, as far as it is known; 48 kHz. */
  takeSound(untilFrame: number): Float32Array {
    const known = Math.floor(this.#sound.end / SOUND_PER_FRAME);
    const end = Math.max(this.#soundTaken, Math.min(untilFrame, known) * SOUND_PER_FRAME);
    const sound = this.#sound.read(this.#soundTaken, end);
    this.#soundTaken = end;
    this.#sound.forgetBefore(end);
    return sound;
  }

  /** The picture for frames whose own one comes too late; undefined until there is one. */
  get standIn(): Uint8Array | undefined {
    return this.#standIn;
  }

  /** Has a frame's picture stand in from now on, unless a later one does. */
  keep(picture: Uint8Array, frame: number): void {
    if (frame < this.#standInFrame) return;
    this.#standIn = picture;
    this.#standInFrame = frame;
  }
}

function sumOfSpeech(frames: readonly LiveFrame[]): number {
  return frames.reduce((sum, { speechSamples }) => sum + speechSamples, 0);
}
