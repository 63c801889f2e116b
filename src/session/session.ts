import { FRAMES_PER_SECOND, MODEL_SAMPLE_RATE, SAMPLES_PER_FRAME } from '../audio/audio-chunk-buffer.js';
import type { Avatar, Motion } from '../avatar/engine.js';
import { AppError } from '../errors.js';
import type { HlsStream } from '../hls/hls-stream.js';
import type { Logger } from '../log.js';
import { FeedOrder } from './feed-order.js';
import type { SpeechFile, SpeechInput } from './speech-input.js';

/** `waiting_for_audio` and `processing` alternate; `complete` and `error` are final. */
export type SessionState = 'waiting_for_audio' | 'processing' | 'complete' | 'error';

/** Frames rendered per call: few enough that the sessions of one inference worker take turns quickly. */
const RENDER_BATCH = 5;
/** Frames that the sound runs ahead of the picture: FFmpeg lets a frame out when it knows the sound around it. */
const SOUND_LEAD = 5;
/** A talk that is later than this is no more urgent: otherwise one that lags would keep newer ones from being drawn. */
const MOST_LATE_MILLISECONDS = 200;
/** How long a chunk that came early waits for the ones before it. */
const GAP_SECONDS = 10;

export interface SessionParts {
  readonly id: string;
  readonly avatar: Avatar;
  readonly input: SpeechInput;
  readonly stream: HlsStream;
  /** Frames to have drawn while earlier ones are being written: what one run of the renderer takes. */
  readonly framesAhead: number;
  readonly maxQueuedSeconds: number;
  readonly logger: Logger;
}

/** One chunk of speech, as it was fed. */
export interface SpeechChunk {
  /** undefined: a chunk without sound, which only says that it is the last. */
  readonly audio: SpeechFile | undefined;
  readonly index: number | undefined;
  readonly final: boolean;
}

/**
 * One talk: speech in, frames made, frames and sound handed to the stream.
 *
 *     feed -> SpeechInput -> (a full window) -> Avatar.generateMotion -> Avatar.render -> HlsStream
 *
 * `feed` answers as soon as the speech is accepted; one loop per session does the rest behind it. The session owns
 * the avatar, the input and the stream, and closes them in reverse order.
 */
export class Session {
  readonly id: string;
  readonly createdAt = Date.now();
  readonly stream: HlsStream;
  readonly #avatar: Avatar;
  readonly #input: SpeechInput;
  readonly #callsAhead: number;
  readonly #maxQueuedSeconds: number;
  readonly #logger: Logger;
  readonly #order = new FeedOrder(GAP_SECONDS);
  #state: SessionState = 'waiting_for_audio';
  #error: AppError | undefined;
  #finalChunkSeen = false;
  /** Everything of the final chunk is in the windows. */
  #inputFinished = false;
  #framesGenerated = 0;
  /** When frame 0 was due, milliseconds since the epoch, for a viewer who never had to wait. */
  #playsFrom = 0;
  /** The loop, while it runs. */
  #work: Promise<void> | undefined;
  /** Speech came since the loop last looked. */
  #more = false;
  #lastActivity = Date.now();
  #closed = false;

  constructor(parts: SessionParts) {
    this.id = parts.id;
    this.stream = parts.stream;
    this.#avatar = parts.avatar;
    this.#input = parts.input;
    this.#callsAhead = Math.ceil(parts.framesAhead / RENDER_BATCH);
    this.#maxQueuedSeconds = parts.maxQueuedSeconds;
    this.#logger = parts.logger;
    this.#avatar.onLost = (reason) => this.fail(reason);
  }

  get state(): SessionState {
    return this.#state;
  }

  /** No more frames will come. */
  get over(): boolean {
    return this.#closed || this.#state === 'error' || this.#state === 'complete';
  }

  /** What ended the session in state `error`, in words for the caller. */
  get error(): string | null {
    return this.#error?.message ?? null;
  }

  get framesGenerated(): number {
    return this.#framesGenerated;
  }

  /** Samples at 16 kHz accepted but not yet turned into frames. */
  get bufferedSamples(): number {
    return Math.max(0, this.#input.windows.totalSamples - this.#framesGenerated * SAMPLES_PER_FRAME);
  }

  /** Milliseconds since the epoch of the last feed or view. */
  get lastActivity(): number {
    return this.#lastActivity;
  }

  /** Notes that somebody still wants this session. */
  touch(): void {
    this.#lastActivity = Date.now();
  }

  /**
   * Accepts one chunk: when this resolves, its sound will be played. A refused chunk changes nothing.
   * @returns `'duplicate'` when a chunk of this index was accepted before
   * @throws AppError `session_closed` after the final chunk, `session_lagging` when too much waits, `invalid_audio`
   */
  async feed({ audio, index, final }: SpeechChunk): Promise<'accepted' | 'duplicate'> {
    this.touch();
    return this.#order.run(index, async () => {
      this.#refuseIfOver();
      const pcm = audio && (await this.#input.decode(audio));
      this.#refuseIfOver();
      try {
        if (pcm) {
          this.#refuseIfLagging(pcm.samples.length / pcm.sampleRate);
          await this.#input.push(pcm, () => this.#proceed());
        }
        if (final) await this.#acceptFinal();
      } catch (error) {
        // A session that ends takes its resamplers away from under a chunk.
        if (this.over) this.#refuseIfOver();
        // Half a chunk is in: sound and picture would part.
        if (!(error instanceof AppError)) this.fail(error);
        throw error;
      }
      this.touch();
      this.#proceed();
      return 'accepted' as const;
    });
  }

  async #acceptFinal(): Promise<void> {
    this.#finalChunkSeen = true;
    await this.#input.finish();
    this.#inputFinished = true;
    this.#proceed();
  }

  /** Ends the talk after what has been accepted, as a final chunk would, and waits for its last frame. */
  async finish(): Promise<void> {
    // In turn with the chunks: one that is just being accepted may be the final one.
    await this.#order.run(undefined, async () => {
      if (!this.#finalChunkSeen && !this.over) await this.#acceptFinal();
    });
    while (this.#work) await this.#work;
  }

  /** Ends the session now and frees everything it holds. Idempotent. */
  async close({ removeFiles }: { removeFiles: boolean }): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#order.close();
    await this.stream.close({ removeFiles });
    // First, because it takes back what waits for its turn: that of a talk which is far ahead may be long in coming.
    await this.#freeMakers();
    while (this.#work) await this.#work;
  }

  /** Ends the session because its encoder or its avatar failed; the reason shows in its status. */
  fail(reason: unknown): void {
    if (this.over) return;
    this.#error = AppError.from(reason);
    this.#state = 'error';
    this.#logger.error({ err: this.#error, cause: this.#error.cause }, 'session failed');
    this.#order.close();
    // What has been rendered stays to be seen, and players learn that no more will come.
    this.stream.finish().catch(() => undefined);
    this.#freeMakers().catch((err) => this.#logger.warn({ err }, 'avatar not closed cleanly'));
  }

  /** Lets go of what makes frames: a talk that is over is only its stream. */
  async #freeMakers(): Promise<void> {
    this.#input.close();
    await this.#avatar.close();
  }

  #refuseIfOver(): void {
    if (this.#closed) throw new AppError('session_not_found', 'The session was deleted.');
    if (this.#error)
      throw new AppError('session_closed', `The session has ended with an error: ${this.#error.message}`);
    if (this.#finalChunkSeen) {
      throw new AppError('session_closed', 'The final chunk was fed before; init another session to go on speaking.');
    }
  }

  #refuseIfLagging(seconds: number): void {
    const queued = this.bufferedSamples / MODEL_SAMPLE_RATE;
    // What waits while nothing is being rendered is less than a window: a chunk of any length may follow it.
    if (!this.#work || queued + seconds <= this.#maxQueuedSeconds) return;
    throw new AppError(
      'session_lagging',
      `${queued.toFixed(1)} s of speech are waiting to be rendered; at most ${this.#maxQueuedSeconds} s may. Feed slower.`,
      { retryAfterSeconds: Math.max(1, Math.ceil(Math.min(seconds, queued) / 2)) },
    );
  }

  /** Starts the loop if it is not running. */
  #proceed(): void {
    this.#more = true;
    this.#work ??= this.#run()
      .catch((error) => this.fail(error))
      .finally(() => {
        this.#work = undefined;
        // Viewers come after the last frame: the idle time begins here.
        this.touch();
        if (this.#more && !this.over) this.#proceed();
      });
  }

  async #run(): Promise<void> {
    // A talk that waited for speech is not late: its next frame is due now.
    this.#playsFrom += Math.max(0, Date.now() - this.#shownAt(this.#framesGenerated));
    while (this.#more && !this.over) {
      this.#more = false;
      for (let window = this.#input.next(); window && !this.over; window = this.#input.next()) {
        this.#state = 'processing';
        await this.#speak(await this.#avatar.generateMotion(window, this.#dueAt(window.startFrame)));
      }
    }
    if (this.over) return;
    if (!this.#inputFinished) {
      this.#state = 'waiting_for_audio';
      return;
    }
    await this.stream.finish();
    if (this.over) return;
    this.#state = 'complete';
    this.#logger.info({ frames: this.#framesGenerated }, 'talk complete');
    await this.#freeMakers();
  }

  /** Renders motion a few frames at a time and hands them on with their sound. */
  async #speak(motion: Motion): Promise<void> {
    if (this.over) return;
    const pieces = cut(motion, RENDER_BATCH);
    const drawings: Promise<Uint8Array>[] = [];
    for (const [i, { startFrame, frames }] of pieces.entries()) {
      // Drawn while others are being written. A failure is heard when it is awaited, unless the talk ends first.
      for (const next of pieces.slice(i + drawings.length, i + 1 + this.#callsAhead)) {
        const drawing = this.#avatar.render(next, this.#dueAt(next.startFrame));
        drawing.catch(() => undefined);
        drawings.push(drawing);
      }
      const pictures = await drawings.shift()!;
      if (this.over) return;
      this.stream.writeSound(this.#input.takeSound(startFrame + frames, SOUND_LEAD));
      this.stream.writeFrames(pictures, frames);
      this.#framesGenerated += frames;
      await this.stream.drained();
    }
  }

  #dueAt(frame: number): number {
    return Math.max(this.#shownAt(frame), Date.now() - MOST_LATE_MILLISECONDS);
  }

  #shownAt(frame: number): number {
    return this.#playsFrom + (frame * 1000) / FRAMES_PER_SECOND;
  }
}

/** Motion in pieces of at most `length` frames. */
function cut({ startFrame, frames, tokens }: Motion, length: number): Motion[] {
  const width = tokens.length / frames;
  const pieces: Motion[] = [];
  for (let at = 0; at < frames; at += length) {
    const count = Math.min(length, frames - at);
    const part = tokens.slice(at * width, (at + count) * width);
    pieces.push({ startFrame: startFrame + at, frames: count, tokens: part });
  }
  return pieces;
}
