import {
  AudioChunkBuffer,
  type AudioWindow,
  FRAMES_PER_SECOND,
  MODEL_SAMPLE_RATE,
} from '../audio/audio-chunk-buffer.js';
import type { PcmAudio } from '../audio/decode.js';
import { Resampler } from '../audio/resampler.js';
import { SampleQueue } from '../audio/sample-queue.js';
import { STREAM_SOUND_RATE } from '../hls/hls-stream.js';

const SOUND_PER_FRAME = STREAM_SOUND_RATE / FRAMES_PER_SECOND;

export interface SpeechInputOptions {
  /** Length of an inference window, 0.1..10. */
  readonly chunkDurationSeconds: number;
  /** Frames of earlier sound that the audio encoder hears with each window. */
  readonly contextFrames: number;
}

/**
 * A session's fed speech, twice: at 16 kHz in windows for the model, and at 48 kHz in order for the listeners. Both
 * begin at the same instant and cover the same time.
 */
export class SpeechInput {
  readonly windows: AudioChunkBuffer;
  readonly #sound = new SampleQueue();
  #soundTaken = 0;
  readonly #forModel = new Resampler(MODEL_SAMPLE_RATE);
  readonly #forStream = new Resampler(STREAM_SOUND_RATE);

  constructor(options: SpeechInputOptions) {
    this.windows = new AudioChunkBuffer(options);
  }

  /**
   * Takes speech in, a second at a time.
   * @param onSecond called after each: frames of a long recording are made while the rest of it is still being resampled.
   */
  async push({ samples, sampleRate }: PcmAudio, onSecond: () => void): Promise<void> {
    for (let at = 0; at < samples.length; at += sampleRate) {
      const second = samples.subarray(at, at + sampleRate);
      const forModel = await this.#forModel.push(second, sampleRate);
      const forStream = await this.#forStream.push(second, sampleRate);
      // The sound first: whoever sees a window finds its sound in the queue.
      this.#sound.append(forStream);
      this.#sound.forgetBefore(this.#soundTaken);
      this.windows.push(forModel);
      onSecond();
    }
  }

  /** No more speech will come: lets out what the resamplers and the last window hold. */
  async finish(): Promise<void> {
    this.#sound.append(await this.#forStream.flush());
    this.windows.push(await this.#forModel.flush());
    this.windows.finish();
  }

  /** Leaves out the sound before a frame: the listeners have had it. Before any is taken. */
  skipSound(untilFrame: number): void {
    this.#soundTaken = untilFrame * SOUND_PER_FRAME;
  }

  next(): AudioWindow | undefined {
    return this.windows.next();
  }

  /**
   * The sound that was not taken yet, up to a frame's start: silence behind the end of the speech. Where more is known, up
   * to `ahead` frames more come along.
   */
  takeSound(untilFrame: number, ahead: number): Float32Array {
    const known = Math.floor(this.#sound.end / SOUND_PER_FRAME);
    const end = Math.max(untilFrame, Math.min(untilFrame + ahead, known)) * SOUND_PER_FRAME;
    const sound = this.#sound.read(this.#soundTaken, Math.max(end, this.#soundTaken));
    this.#soundTaken += sound.length;
    this.#sound.forgetBefore(this.#soundTaken);
    return sound;
  }

  close(): void {
    this.#forModel.close();
    this.#forStream.close();
  }
}
