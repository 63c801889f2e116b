import { now } from '../clock.js';
import type { HlsStream } from '../hls/hls-stream.js';
import type { Instruments } from '../metrics/instruments.js';
import { HeardSpeech } from './heard-speech.js';
import { LateShare } from './late-share.js';
import type { LiveSpeech } from './live-speech.js';
import { type LiveFrame, type LiveTimeline, PATIENCE_MILLISECONDS } from './live-timeline.js';
import type { TalkListener } from './talk.js';

/** Frames whose sound is with the encoder before they are: FFmpeg lets a frame out when it knows 90 ms of sound behind it. */
const SOUND_LEAD = 3;
/**
 * Frames that the encoder may be behind. Where it is further, because FFmpeg hangs or the machine is too busy for it, the
 * last picture stays: it takes no memory again, and is soon encoded.
 */
const MOST_UNSETTLED_FRAMES = 100;
/** Silence shorter than this is within an utterance. */
const PAUSE_FRAMES = 8;
/** Frames that came too late are told of once in so many. */
const LAG_REPORT_FRAMES = 125;

export interface LivePresenterParts {
  readonly timeline: LiveTimeline;
  readonly speech: LiveSpeech;
  readonly stream: HlsStream;
  readonly instruments: Instruments | undefined;
}

/**
 * Shows a live talk: hands each frame of its timeline to the stream when it is due, with its sound, and tells what is shown.
 * For a picture that comes too late the one before it stands in, so that lateness never adds up and sound, picture and
 * clock stay together.
 */
export class LivePresenter {
  readonly #parts: LivePresenterParts;
  #speaking = false;
  #silentFrames = PAUSE_FRAMES;
  #lateFrames = 0;
  readonly #lateShare = new LateShare(now);
  #lagReportedAt = Number.NEGATIVE_INFINITY;
  readonly #heard: HeardSpeech;

  constructor(parts: LivePresenterParts) {
    this.#parts = parts;
    this.#heard = new HeardSpeech(parts.speech, parts.stream);
  }

  /** The frames shown last have speech in them, but for a pause. */
  get speaking(): boolean {
    return this.#speaking;
  }

  /** Silent frames since the last one with speech. */
  get silentFrames(): number {
    return this.#silentFrames;
  }

  /** See `Talk.lateShare`. */
  get lateShare(): number {
    return this.#lateShare.value;
  }

  /** When the next frame is due, milliseconds by `now`; where its picture is missing, when that is not waited for any more. */
  get dueAt(): number {
    const { timeline } = this.#parts;
    return timeline.dueAt(timeline.frames) + (timeline.next?.picture ? 0 : PATIENCE_MILLISECONDS);
  }

  /** Hands the next frame to the stream. @returns false when it is not due, or worth waiting for */
  showNext(listener: TalkListener): boolean {
    const { timeline, stream, instruments } = this.#parts;
    const { next: frame, frames: number } = timeline;
    const late = now() - timeline.dueAt(number);
    if (!frame || late < 0) return false;
    // The clock begins with the first picture: before that there is nothing to show, and nothing to be late for.
    if (!timeline.standIn) timeline.putOff(late);
    const picture = this.#pictureFor(frame, late);
    if (!picture) return false;
    this.#lateShare.count(picture !== frame.picture);
    if (picture === frame.picture) timeline.keep(picture, number);
    else {
      this.#lateFrames++;
      instruments?.framesHeld.inc();
    }
    timeline.advance();
    const sound = timeline.takeSound(number + 1 + SOUND_LEAD);
    if (sound.length > 0) stream.writeSound(sound);
    stream.writeFrames(picture, 1);
    this.#tellSpeech(frame.speechSamples > 0, number, listener);
    this.#tellLag(number, listener);
    this.#heard.note(timeline.frames, frame.position, listener);
    return true;
  }

  /** @returns undefined where the frame's picture is worth waiting for */
  #pictureFor({ picture }: LiveFrame, late: number): Uint8Array | undefined {
    const { timeline, stream } = this.#parts;
    if (stream.framesUnsettled > MOST_UNSETTLED_FRAMES && timeline.standIn) return timeline.standIn;
    return picture ?? (late < PATIENCE_MILLISECONDS ? undefined : timeline.standIn);
  }

  #tellSpeech(speech: boolean, frame: number, listener: TalkListener): void {
    this.#silentFrames = speech ? 0 : this.#silentFrames + 1;
    if (speech && !this.#speaking) {
      this.#speaking = true;
      listener.onSpeech(true, frame);
    } else if (this.#speaking && this.#silentFrames >= PAUSE_FRAMES) {
      this.#speaking = false;
      listener.onSpeech(false, frame + 1 - this.#silentFrames);
    }
  }

  #tellLag(frame: number, listener: TalkListener): void {
    if (this.#lateFrames === 0 || frame - this.#lagReportedAt < LAG_REPORT_FRAMES) return;
    listener.onLag(this.#lateFrames, frame);
    this.#lateFrames = 0;
    this.#lagReportedAt = frame;
  }
}
