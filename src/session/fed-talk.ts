import { FRAMES_PER_SECOND, MODEL_SAMPLE_RATE, SAMPLES_PER_FRAME } from '../audio/audio-chunk-buffer.js';
import type { PcmAudio } from '../audio/decode.js';
import { type Avatar, cutMotion, type Motion } from '../avatar/engine.js';
import { now } from '../clock.js';
import { AppError } from '../errors.js';
import type { HlsStream } from '../hls/hls-stream.js';
import type { SpeechInput } from './speech-input.js';
import { RENDER_BATCH, type Talk, type TalkListener } from './talk.js';

/** Frames that the sound runs ahead of the picture: FFmpeg lets a frame out when it knows the sound around it. */
const SOUND_LEAD = 5;
/** A talk that is later than this is no more urgent: otherwise one that lags would keep newer ones from being drawn. */
const MOST_LATE_MILLISECONDS = 200;

export interface FedTalkParts {
  readonly avatar: Avatar;
  readonly input: SpeechInput;
  readonly stream: HlsStream;
  /** Frames to have drawn while earlier ones are being written: what one run of the renderer takes. */
  readonly framesAhead: number;
  readonly maxQueuedSeconds: number;
  /** The first frame that the stream does not have; those before are made again in thought only. Default 0. */
  readonly startFrame?: number;
}

/**
 * A talk that goes on by what is fed and by nothing else, as fast as frames can be made.
 *
 *     push -> SpeechInput -> (a full window) -> Avatar.generateMotion -> Avatar.render -> HlsStream
 *
 * `push` resolves as soon as the speech is accepted; one loop does the rest behind it.
 */
export class FedTalk implements Talk {
  readonly #avatar: Avatar;
  readonly #input: SpeechInput;
  readonly #stream: HlsStream;
  readonly #callsAhead: number;
  readonly #maxQueuedSeconds: number;
  #listener!: TalkListener;
  /** Everything of the final chunk is in the windows. */
  #inputFinished = false;
  #frames: number;
  #speaking = false;
  /** When frame 0 was due, milliseconds by `now`, for a viewer who never had to wait. */
  #playsFrom = 0;
  /** The loop, while it runs. */
  #work: Promise<void> | undefined;
  /** Speech came since the loop last looked. */
  #more = false;
  /** Complete, failed or stopped from outside. */
  #over = false;

  constructor({ avatar, input, stream, framesAhead, maxQueuedSeconds, startFrame = 0 }: FedTalkParts) {
    this.#frames = startFrame;
    input.skipSound(startFrame);
    this.#avatar = avatar;
    this.#input = input;
    this.#stream = stream;
    this.#callsAhead = Math.ceil(framesAhead / RENDER_BATCH);
    this.#maxQueuedSeconds = maxQueuedSeconds;
  }

  get frames(): number {
    return this.#frames;
  }

  get bufferedSamples(): number {
    return Math.max(0, this.#input.windows.totalSamples - this.#frames * SAMPLES_PER_FRAME);
  }

  get speaking(): boolean {
    return this.#speaking;
  }

  get lagSeconds(): number {
    return this.#speaking ? Math.max(0, now() - this.#shownAt(this.#frames)) / 1000 : 0;
  }

  get lateShare(): number {
    return 0;
  }

  start(listener: TalkListener): void {
    this.#listener = listener;
  }

  admit(seconds: number): void {
    const queued = this.bufferedSamples / MODEL_SAMPLE_RATE;
    // What waits while nothing is being rendered is less than a window: a chunk of any length may follow it.
    if (!this.#work || queued + seconds <= this.#maxQueuedSeconds) return;
    throw new AppError(
      'session_lagging',
      `${queued.toFixed(1)} s of speech are waiting to be rendered; at most ${this.#maxQueuedSeconds} s may. Feed slower.`,
      { retryAfterSeconds: Math.max(1, Math.ceil(Math.min(seconds, queued) / 2)) },
    );
  }

  async push(pcm: PcmAudio): Promise<void> {
    await this.#input.push(pcm, () => this.#proceed());
    this.#proceed();
  }

  /** A pause on this timeline is nothing but the next speech: the filters go on. */
  async endUtterance(): Promise<void> {}

  async finish(): Promise<void> {
    await this.#input.finish();
    this.#inputFinished = true;
    this.#proceed();
  }

  stop(): void {
    this.#over = true;
    this.#input.close();
  }

  async settled(): Promise<void> {
    while (this.#work) await this.#work;
  }

  /** Starts the loop if it is not running. */
  #proceed(): void {
    this.#more = true;
    this.#work ??= this.#run()
      .catch((error) => {
        if (!this.#over) this.#listener.onFailure(error);
      })
      .finally(() => {
        this.#work = undefined;
        if (this.#more && !this.#over) this.#proceed();
      });
  }

  async #run(): Promise<void> {
    // A talk that waited for speech is not late: its next frame is due now.
    this.#playsFrom += Math.max(0, now() - this.#shownAt(this.#frames));
    while (this.#more && !this.#over) {
      this.#more = false;
      for (let window = this.#input.next(); window && !this.#over; window = this.#input.next()) {
        // The stream has all of its frames already, and those after them do not need it for their context.
        if (window.startFrame + 2 * window.frames <= this.#frames) continue;
        this.#setSpeaking(true);
        await this.#speak(await this.#avatar.generateMotion(window, this.#dueAt(window.startFrame)));
      }
    }
    if (this.#over) return;
    if (this.#inputFinished) await this.#stream.finish();
    if (this.#over) return;
    this.#setSpeaking(false);
    if (!this.#inputFinished) return;
    this.#over = true;
    this.#listener.onComplete();
  }

  /** Renders motion a few frames at a time and hands them on with their sound. */
  async #speak(motion: Motion): Promise<void> {
    if (this.#over) return;
    const pieces = cutMotion(withoutFirst(motion, this.#frames - motion.startFrame), RENDER_BATCH);
    const drawings: Promise<Uint8Array>[] = [];
    for (const [i, { startFrame, frames }] of pieces.entries()) {
      // Drawn while others are being written. A failure is heard when it is awaited, unless the talk ends first.
      for (const next of pieces.slice(i + drawings.length, i + 1 + this.#callsAhead)) {
        const drawing = this.#avatar.render(next, this.#dueAt(next.startFrame));
        drawing.catch(() => undefined);
        drawings.push(drawing);
      }
      const pictures = await drawings.shift()!;
      if (this.#over) return;
      this.#stream.writeSound(this.#input.takeSound(startFrame + frames, SOUND_LEAD));
      this.#stream.writeFrames(pictures, frames);
      this.#frames += frames;
      await this.#stream.drained();
    }
  }

  #setSpeaking(speaking: boolean): void {
    if (this.#speaking === speaking) return;
    this.#speaking = speaking;
    this.#listener.onSpeech(speaking, this.#frames);
  }

  #dueAt(frame: number): number {
    return Math.max(this.#shownAt(frame), now() - MOST_LATE_MILLISECONDS);
  }

  #shownAt(frame: number): number {
    return this.#playsFrom + (frame * 1000) / FRAMES_PER_SECOND;
  }
}

/** Motion without its first frames; none is left where those are all. */
function withoutFirst({ startFrame, frames: count, tokens }: Motion, frames: number): Motion {
  const left = Math.min(count, Math.max(0, frames));
  const width = tokens.length / count;
  return { startFrame: startFrame + left, frames: count - left, tokens: tokens.slice(left * width) };
}
