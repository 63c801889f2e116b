import { type AudioChunkBuffer, FRAMES_PER_SECOND, MODEL_SAMPLE_RATE } from '../audio/audio-chunk-buffer.js';
import type { PcmAudio } from '../audio/decode.js';
import type { Avatar } from '../avatar/engine.js';
import { now } from '../clock.js';
import { AppError } from '../errors.js';
import type { HlsStream } from '../hls/hls-stream.js';
import type { Instruments } from '../metrics/instruments.js';
import { LiveFrameMaker } from './live-frame-maker.js';
import { LivePresenter } from './live-presenter.js';
import { LiveSpeech } from './live-speech.js';
import { LiveTimeline } from './live-timeline.js';
import type { Talk, TalkListener } from './talk.js';

/** How long before it is due a window is made: time for its motion and first frames, and for other sessions' turns. */
const AHEAD_MILLISECONDS = 200;
/** How unevenly an utterance may arrive and still be heard without a gap. */
const JITTER_SECONDS = 0.1;
/** Frames between the last speech and the end of the talk: the mouth closes. */
const ENDING_FRAMES = 10;

export interface LiveTalkParts {
  readonly avatar: Avatar;
  /** Windows of a live stream. */
  readonly windows: AudioChunkBuffer;
  readonly stream: HlsStream;
  readonly maxQueuedSeconds: number;
  /** The first frame that the stream does not have, where `windows` begin. Default 0. */
  readonly startFrame?: number;
  readonly instruments?: Instruments | undefined;
}

/**
 * A talk that goes on by the clock: frame n is due n / 25 s after the start, whatever happens. Speech goes onto the
 * timeline as soon as it is there, silence otherwise; the model makes of both what it makes of sound, so that there is no
 * seam between speaking and idling.
 *
 * Three things go on beside each other. *Placing* (here) fixes the sound of the next window on the `LiveTimeline`, 200 ms
 * before its first frame is due. *Making* (`LiveFrameMaker`) turns windows into pictures. *Showing* (`LivePresenter`) hands
 * each frame to the stream when it is due.
 */
export class LiveTalk implements Talk {
  readonly #stream: HlsStream;
  readonly #maxQueuedSeconds: number;
  readonly #speech: LiveSpeech;
  readonly #timeline: LiveTimeline;
  readonly #maker: LiveFrameMaker;
  readonly #presenter: LivePresenter;
  #listener!: TalkListener;
  /** Placing and interrupting take turns. */
  #placing: Promise<unknown> = Promise.resolve();
  #isPlacing = false;
  #ending: Promise<void> | undefined;
  #finishing = false;
  /** Resolves when it is stopped. */
  readonly #over: Promise<void>;
  #stop!: () => void;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor({ avatar, windows, stream, maxQueuedSeconds, startFrame = 0, instruments }: LiveTalkParts) {
    this.#over = new Promise((resolve) => {
      this.#stop = resolve;
    });
    this.#stream = stream;
    this.#maxQueuedSeconds = maxQueuedSeconds;
    const hop = windows.windowFrames - windows.overlapFrames;
    const speech = new LiveSpeech(hop / FRAMES_PER_SECOND + JITTER_SECONDS, now);
    const timeline = new LiveTimeline(windows, startFrame);
    this.#speech = speech;
    this.#timeline = timeline;
    this.#maker = new LiveFrameMaker({
      ...{ avatar, timeline },
      onPictures: () => this.#tick(),
      onFailure: (error) => this.#fail(error),
    });
    this.#presenter = new LivePresenter({ timeline, speech, stream, instruments });
  }

  get frames(): number {
    return this.#timeline.frames;
  }

  get bufferedSamples(): number {
    return Math.round(this.#speech.waitingSamples) + this.#timeline.speechSamples;
  }

  get speaking(): boolean {
    return this.#presenter.speaking || this.bufferedSamples > 0;
  }

  get lagSeconds(): number {
    return this.#stopped ? 0 : Math.max(0, now() - this.#timeline.dueAt(this.frames)) / 1000;
  }

  get lateShare(): number {
    return this.#presenter.lateShare;
  }

  start(listener: TalkListener): void {
    this.#listener = listener;
    this.#timeline.begin(now() + AHEAD_MILLISECONDS);
    this.#tick();
  }

  admit(seconds: number): void {
    const queued = this.bufferedSamples / MODEL_SAMPLE_RATE;
    if (queued === 0 || queued + seconds <= this.#maxQueuedSeconds) return;
    throw new AppError(
      'session_lagging',
      `${queued.toFixed(1)} s of speech wait to be spoken; at most ${this.#maxQueuedSeconds} s may. Feed slower.`,
      { retryAfterSeconds: Math.max(1, Math.ceil(Math.min(seconds, queued))) },
    );
  }

  push(pcm: PcmAudio, sound: number): Promise<void> {
    return this.#speech.push(pcm, sound);
  }

  endUtterance(): Promise<void> {
    return this.#speech.endUtterance();
  }

  async finish(): Promise<void> {
    await this.#speech.endUtterance();
    this.#finishing = true;
  }

  /**
   * Nothing is heard of what the encoder does not have yet: it has the sound of three frames that are still to be shown.
   * From then on the mouth closes, within three more.
   */
  interrupt(): Promise<number> {
    const dropping = this.#speech.drop();
    // Awaited below; a talk that is stopped before is not to bring the process down.
    dropping.catch(() => undefined);
    return this.#inOrder(async () => {
      const end = this.#timeline.firstUnheard;
      const takenBack = this.#timeline.takeBack(end, this.#maker.giveUp(end));
      await this.#placeWindow();
      return (await dropping) + takenBack;
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#stop();
    clearTimeout(this.#timer);
    this.#maker.stop();
    this.#speech.close();
  }

  async settled(): Promise<void> {
    if (this.#finishing) await this.#over;
    await this.#placing;
    await this.#maker.settled();
    await this.#ending;
  }

  /** Does what is due, and comes back when something else will be. */
  #tick(): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#place();
    while (!this.#stopped && this.#presenter.showNext(this.#listener)) {
      if (this.#isOver()) this.#end();
    }
    if (this.#stopped) return;
    // Where a picture or the placing is waited for, those call as well.
    const shown = this.#presenter.dueAt;
    const next = this.#isPlacing ? shown : Math.min(shown, this.#placingDue);
    this.#timer = setTimeout(() => this.#tick(), Math.max(1, next - now()));
  }

  get #placingDue(): number {
    return this.#timeline.dueAt(this.#timeline.nextWindowFrame) - AHEAD_MILLISECONDS;
  }

  /** Fixes the sound of every window that is to be made now. */
  #place(): void {
    if (this.#isPlacing || now() < this.#placingDue) return;
    this.#isPlacing = true;
    this.#inOrder(async () => {
      while (!this.#stopped && now() >= this.#placingDue) await this.#placeWindow();
    })
      .catch((error) => this.#fail(error))
      .finally(() => {
        this.#isPlacing = false;
        this.#tick();
      });
  }

  async #placeWindow(): Promise<void> {
    const window = this.#timeline.place(await this.#speech.take(this.#timeline.missingSamples));
    if (window) this.#maker.add(window);
  }

  /** All speech has been shown, and the mouth had time to close. */
  #isOver(): boolean {
    return this.#finishing && this.#presenter.silentFrames >= ENDING_FRAMES && this.bufferedSamples === 0;
  }

  #end(): void {
    this.stop();
    this.#ending = this.#stream.finish().then(
      () => this.#listener.onComplete(),
      (error) => this.#listener.onFailure(error),
    );
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.stop();
    this.#listener.onFailure(error);
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#placing.then(work);
    this.#placing = result.catch(() => undefined);
    return result;
  }
}
