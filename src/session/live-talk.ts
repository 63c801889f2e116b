import {
  type AudioChunkBuffer,
  type AudioWindow,
  FRAMES_PER_SECOND,
  MODEL_SAMPLE_RATE,
  SAMPLES_PER_FRAME,
} from '../audio/audio-chunk-buffer.js';
import type { PcmAudio } from '../audio/decode.js';
import { SampleQueue } from '../audio/sample-queue.js';
import { type Avatar, cutMotion, type Motion } from '../avatar/engine.js';
import { AppError } from '../errors.js';
import type { HlsStream } from '../hls/hls-stream.js';
import type { Instruments } from '../metrics/instruments.js';
import { LiveSpeech, SOUND_PER_SAMPLE } from './live-speech.js';
import { RENDER_BATCH, type Talk, type TalkListener } from './talk.js';

const FRAME_MILLISECONDS = 1000 / FRAMES_PER_SECOND;
const SOUND_PER_FRAME = SAMPLES_PER_FRAME * SOUND_PER_SAMPLE;

/** How long before it is due a window is made: time for its motion and first frames, and for other sessions' turns. */
const AHEAD_MILLISECONDS = 200;
/** Frames whose sound is with the encoder before they are: FFmpeg lets a frame out when it knows 90 ms of sound behind it. */
const SOUND_LEAD = 3;
/** A frame that is later than this is not waited for: the one before it stays in the picture, and sound and clock go on. */
const PATIENCE_MILLISECONDS = 200;
/**
 * Frames that the encoder may be behind. Where it is further, because FFmpeg hangs or the machine is too busy for it, the
 * last picture stays: it takes no memory again, and is soon encoded.
 */
const MOST_UNSETTLED_FRAMES = 100;
/** How unevenly an utterance may arrive and still be heard without a gap. */
const JITTER_SECONDS = 0.1;
/** Sound that is cut off fades within 10 ms, or it would click. */
const FADE_SAMPLES = MODEL_SAMPLE_RATE / 100;
/** Silence shorter than this is within an utterance. */
const PAUSE_FRAMES = 8;
/** Motion of windows that were over for so long is not made any more. */
const ABANDON_MILLISECONDS = 2000;
/** Frames between the last speech and the end of the talk: the mouth closes. */
const ENDING_FRAMES = 10;
/** Frames that came too late are told of once in so many. */
const LAG_REPORT_FRAMES = 125;

/** One frame of the timeline whose sound is known. */
interface LiveFrame {
  /** Samples at 16 kHz that are speech, and where they end among all that were ever taken. */
  readonly speechSamples: number;
  readonly position: number;
  picture: Uint8Array | undefined;
  /** Taken back by an interruption. */
  dropped: boolean;
}

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
 * Three things go on beside each other. *Placing* fixes the sound of the next window, 200 ms before its first frame is
 * due. *Making* turns windows into pictures. *Showing* hands each frame to the stream when it is due, with its sound; for
 * a picture that comes too late the one before it stands in, so that lateness never adds up and sound, picture and clock
 * stay together.
 */
export class LiveTalk implements Talk {
  readonly #avatar: Avatar;
  readonly #windows: AudioChunkBuffer;
  readonly #stream: HlsStream;
  readonly #instruments: Instruments | undefined;
  readonly #speech: LiveSpeech;
  readonly #maxQueuedSeconds: number;
  #listener!: TalkListener;
  readonly #startFrame: number;
  /** When frame 0 is due, or would have been, by `clock`; put off until the first picture is there. */
  #begin = 0;
  /** Windows whose motion is not there yet. */
  #toMake: AudioWindow[] = [];
  /** Frames from the next one to be shown on, as far as their sound is known. */
  readonly #ahead: LiveFrame[] = [];
  /** The timeline's sound at 48 kHz, and how much of it the encoder has. */
  readonly #sound: SampleQueue;
  #soundWritten: number;
  #frames: number;
  /** The picture that stands in where one comes too late, and its frame. */
  #lastPicture: Uint8Array | undefined;
  #lastPictureFrame = -1;
  #notedPosition = 0;
  #speaking = false;
  /** Silent frames since the last one with speech. */
  #silentFrames = PAUSE_FRAMES;
  #lateFrames = 0;
  #lagReportedAt = Number.NEGATIVE_INFINITY;
  /** Placing and interrupting take turns. */
  #placing: Promise<unknown> = Promise.resolve();
  #isPlacing = false;
  #making: Promise<void> | undefined;
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
    this.#frames = startFrame;
    this.#startFrame = startFrame;
    this.#soundWritten = startFrame * SOUND_PER_FRAME;
    this.#sound = new SampleQueue(this.#soundWritten);
    this.#avatar = avatar;
    this.#instruments = instruments;
    this.#windows = windows;
    this.#stream = stream;
    this.#maxQueuedSeconds = maxQueuedSeconds;
    const hop = windows.windowFrames - windows.overlapFrames;
    this.#speech = new LiveSpeech(hop / FRAMES_PER_SECOND + JITTER_SECONDS, clock);
  }

  get frames(): number {
    return this.#frames;
  }

  get bufferedSamples(): number {
    return Math.round(this.#speech.waitingSamples) + sumOfSpeech(this.#ahead);
  }

  get speaking(): boolean {
    return this.#speaking || this.bufferedSamples > 0;
  }

  get lagSeconds(): number {
    return this.#begin === 0 || this.#stopped ? 0 : Math.max(0, clock() - this.#dueAt(this.#frames)) / 1000;
  }

  start(listener: TalkListener): void {
    this.#listener = listener;
    this.#begin = clock() + AHEAD_MILLISECONDS - this.#startFrame * FRAME_MILLISECONDS;
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

  async push(pcm: PcmAudio, sound: number): Promise<void> {
    await this.#speech.push(pcm, sound);
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
      const end = Math.max(this.#soundWritten / SOUND_PER_FRAME, this.#frames);
      // Windows that hear nothing of what is taken back stay, however long they have been waiting; the others begin anew.
      const kept = this.#toMake.filter(({ startFrame, frames }) => startFrame + frames <= end);
      const start = Math.min(end, this.#windows.nextStartFrame, this.#toMake[kept.length]?.startFrame ?? end);
      this.#toMake = kept;
      this.#windows.rewind(start, end, FADE_SAMPLES);
      this.#sound.takeBack(end * SOUND_PER_FRAME, FADE_SAMPLES * SOUND_PER_SAMPLE);
      const dropped = this.#ahead.splice(end - this.#frames);
      for (const frame of dropped) frame.dropped = true;
      await this.#placeWindow();
      this.#make();
      return (await dropping) + sumOfSpeech(dropped);
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#stop();
    clearTimeout(this.#timer);
    this.#speech.close();
  }

  async settled(): Promise<void> {
    if (this.#finishing) await this.#over;
    await this.#placing;
    await this.#making;
    await this.#ending;
  }

  /** Does what is due, and comes back when something else will be. */
  #tick(): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#place();
    this.#show();
    if (this.#stopped) return;
    // Where a picture or the placing is waited for, those call as well.
    const patience = this.#ahead[0]?.picture ? 0 : PATIENCE_MILLISECONDS;
    const shown = this.#dueAt(this.#frames) + patience;
    const next = this.#isPlacing ? shown : Math.min(shown, this.#placingDue);
    this.#timer = setTimeout(() => this.#tick(), Math.max(1, next - clock()));
  }

  get #placingDue(): number {
    return this.#dueAt(this.#windows.nextStartFrame) - AHEAD_MILLISECONDS;
  }

  #dueAt(frame: number): number {
    return this.#begin + frame * FRAME_MILLISECONDS;
  }

  /** Fixes the sound of every window that is to be made now. */
  #place(): void {
    if (this.#isPlacing || clock() < this.#placingDue) return;
    this.#isPlacing = true;
    this.#inOrder(async () => {
      while (!this.#stopped && clock() >= this.#placingDue) await this.#placeWindow();
    })
      .catch((error) => this.#fail(error))
      .finally(() => {
        this.#isPlacing = false;
        this.#make();
        this.#tick();
      });
  }

  async #placeWindow(): Promise<void> {
    const from = this.#windows.totalSamples;
    const end = this.#windows.nextStartFrame + this.#windows.windowFrames;
    // After an interruption of a talk that lags, the next window may lie wholly before what was taken back.
    const missing = Math.max(0, end * SAMPLES_PER_FRAME - from);
    const { forModel, forStream, speechSamples, position } = await this.#speech.take(missing);
    this.#sound.append(forStream);
    this.#windows.push(forModel);
    for (let frame = this.#frames + this.#ahead.length; frame < end; frame++) {
      const first = Math.max(from, frame * SAMPLES_PER_FRAME);
      const last = Math.min(from + speechSamples, (frame + 1) * SAMPLES_PER_FRAME);
      this.#ahead.push({
        speechSamples: Math.max(0, last - first),
        position: position + Math.max(0, last - from),
        picture: undefined,
        dropped: false,
      });
    }
    const window = this.#windows.next();
    if (window) this.#toMake.push(window);
  }

  /** Starts turning windows into pictures, if that is not going on. */
  #make(): void {
    this.#making ??= this.#makeAll()
      .catch((error) => this.#fail(error))
      .finally(() => {
        this.#making = undefined;
      });
  }

  async #makeAll(): Promise<void> {
    for (let window = this.#toMake[0]; window && !this.#stopped; window = this.#toMake[0]) {
      // Where the model was away, what is long over is left out, and motion begins anew.
      const over = this.#dueAt(window.startFrame + window.frames) + ABANDON_MILLISECONDS < clock();
      if (over && this.#toMake.length > 1) {
        this.#toMake.shift();
        continue;
      }
      const motion = await this.#avatar.generateMotion(window, this.#dueAt(window.startFrame));
      // An interruption has taken it back.
      if (window !== this.#toMake[0]) continue;
      this.#toMake.shift();
      await Promise.all(cutMotion(motion, RENDER_BATCH).map((piece) => this.#draw(piece)));
    }
  }

  async #draw(motion: Motion): Promise<void> {
    const { startFrame, frames } = motion;
    const places = Array.from({ length: frames }, (_, i) => this.#ahead[startFrame + i - this.#frames]);
    const tooLate = clock() > this.#dueAt(startFrame + frames - 1) + PATIENCE_MILLISECONDS;
    if (this.#stopped) return;
    if (tooLate) return this.#drawLate(cutMotion(motion, 1)[frames - 1]!);
    if (places.every((place) => !place || place.dropped)) return;
    const pictures = await this.#avatar.render(motion, this.#dueAt(startFrame));
    const bytes = pictures.byteLength / frames;
    for (const [i, place] of places.entries()) {
      if (place) place.picture = pictures.subarray(i * bytes, (i + 1) * bytes);
    }
    this.#tick();
  }

  /** Of frames whose time is over the last one is drawn all the same, for the picture that stands in to be a new one. */
  async #drawLate(motion: Motion): Promise<void> {
    this.#keep(await this.#avatar.render(motion, clock()), motion.startFrame);
  }

  /** Keeps a picture for frames whose own one comes too late, unless a later one is there. */
  #keep(picture: Uint8Array, frame: number): void {
    if (frame < this.#lastPictureFrame) return;
    this.#lastPicture = picture;
    this.#lastPictureFrame = frame;
  }

  /** Hands every frame that is due to the stream. */
  #show(): void {
    for (let frame = this.#ahead[0]; frame && !this.#stopped; frame = this.#ahead[0]) {
      const late = clock() - this.#dueAt(this.#frames);
      if (late < 0) return;
      // The clock begins with the first picture: before that there is nothing to show, and nothing to be late for.
      if (!this.#lastPicture) this.#begin += late;
      const given = this.#pictureFor(frame, late);
      if (!given) return;
      if (given === frame.picture) this.#keep(given, this.#frames);
      else {
        this.#lateFrames++;
        this.#instruments?.framesHeld.inc();
      }
      this.#ahead.shift();
      this.#writeSound(this.#frames + 1 + SOUND_LEAD);
      this.#stream.writeFrames(given, 1);
      this.#tellSpeech(frame.speechSamples > 0);
      this.#tellLag();
      this.#frames++;
      this.#noteShown(frame.position);
      if (this.#isOver()) this.#end();
    }
  }

  /** @returns undefined where the frame's picture is worth waiting for */
  #pictureFor({ picture }: LiveFrame, late: number): Uint8Array | undefined {
    if (this.#stream.framesUnsettled > MOST_UNSETTLED_FRAMES && this.#lastPicture) return this.#lastPicture;
    return picture ?? (late < PATIENCE_MILLISECONDS ? undefined : this.#lastPicture);
  }

  /** Once a second, if speech was heard since. */
  #noteShown(position: number): void {
    if ((this.#frames - this.#startFrame) % FRAMES_PER_SECOND !== 0 || position === this.#notedPosition) return;
    this.#notedPosition = position;
    const heard = this.#speech.soundAt(position);
    if (heard) this.#listener.onShown(this.#frames, heard.sound, heard.seconds);
  }

  #writeSound(untilFrame: number): void {
    const known = Math.floor(this.#sound.end / SOUND_PER_FRAME);
    const end = Math.min(untilFrame, known) * SOUND_PER_FRAME;
    if (end <= this.#soundWritten) return;
    this.#stream.writeSound(this.#sound.read(this.#soundWritten, end));
    this.#soundWritten = end;
    this.#sound.forgetBefore(end);
  }

  #tellSpeech(speech: boolean): void {
    this.#silentFrames = speech ? 0 : this.#silentFrames + 1;
    if (speech && !this.#speaking) {
      this.#speaking = true;
      this.#listener.onSpeech(true, this.#frames);
    } else if (this.#speaking && this.#silentFrames >= PAUSE_FRAMES) {
      this.#speaking = false;
      this.#listener.onSpeech(false, this.#frames + 1 - this.#silentFrames);
    }
  }

  #tellLag(): void {
    if (this.#lateFrames === 0 || this.#frames - this.#lagReportedAt < LAG_REPORT_FRAMES) return;
    this.#listener.onLag(this.#lateFrames, this.#frames);
    this.#lateFrames = 0;
    this.#lagReportedAt = this.#frames;
  }

  /** All speech has been shown, and the mouth had time to close. */
  #isOver(): boolean {
    return this.#finishing && this.#silentFrames >= ENDING_FRAMES && this.bufferedSamples === 0;
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

function sumOfSpeech(frames: readonly LiveFrame[]): number {
  return frames.reduce((sum, { speechSamples }) => sum + speechSamples, 0);
}

/** Milliseconds since the epoch, never going back nor leaping with the machine's time of day. */
function clock(): number {
  return performance.timeOrigin + performance.now();
}
