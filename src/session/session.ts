import { setTimeout as sleep } from 'node:timers/promises';
import { MODEL_SAMPLE_RATE } from '../audio/audio-chunk-buffer.js';
import { decodeAudioChunk, type PcmAudio } from '../audio/decode.js';
import type { Avatar } from '../avatar/engine.js';
import { now } from '../clock.js';
import { AppError } from '../errors.js';
import type { HlsStream } from '../hls/hls-stream.js';
import type { Logger } from '../log.js';
import type { Instruments } from '../metrics/instruments.js';
import { timed } from '../metrics/timed.js';
import { FeedOrder } from './feed-order.js';
import { bytesOfSound } from './noted-sound.js';
import type { Recovery } from './recovery.js';
import { shuttingDown } from './refusals.js';
import { Replay } from './replay.js';
import { SessionEvents } from './session-events.js';
import type { Accepted, SessionJournal } from './session-journal.js';
import type { SpeechFile } from './speech-file.js';
import type { Talk } from './talk.js';

/** `waiting_for_audio` and `processing` alternate; `complete` and `error` are final. */
export type SessionState = 'waiting_for_audio' | 'processing' | 'complete' | 'error';

/** How long a chunk that came early waits for the ones before it. */
const GAP_SECONDS = 10;
const QUIET_LOOK_MILLISECONDS = 50;
/** A fed talk that was given nothing for so long does not come back at any moment. */
const RESTING_AFTER_MILLISECONDS = 60_000;

export interface SessionParts {
  readonly id: string;
  /** Absent where the talk is over already. */
  readonly avatar: Avatar | undefined;
  readonly stream: HlsStream;
  readonly talk: Talk;
  /** Absent where the talk is over already. */
  readonly journal: SessionJournal | undefined;
  /** The talk is over already: with what failure, if any. */
  readonly ended?: { readonly failure: AppError | undefined } | undefined;
  /** Id of the last event of lives before this one. */
  readonly lastEventId?: number | undefined;
  /** What is to be done when the talk is complete and noted as such; before the journal is closed. */
  readonly onComplete?: () => Promise<void>;
  /** A clock makes the frames, and not the speech that is fed. */
  readonly live: boolean;
  readonly fps: number;
  /** Hz of headerless PCM; a container's own rate wins. */
  readonly audioSampleRate: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly logger: Logger;
  readonly instruments?: Instruments | undefined;
}

/** One chunk of speech, as it was fed. */
export interface SpeechChunk {
  /** undefined: a chunk without sound, which only says that it is the last. */
  readonly audio: SpeechFile | undefined;
  readonly index: number | undefined;
  readonly final: boolean;
}

/** A fed session that is later than this, or a live one that has more late pictures, is not kept in real time. */
const LAG_SECONDS = 1;
const LATE_SHARE = 0.2;

/**
 * One session: takes speech in and in turn, knows its state, and tells what happens. Its talk makes the frames. The session
 * owns the talk, the avatar and the stream, and closes them in reverse order.
 */
export class Session {
  readonly id: string;
  readonly live: boolean;
  readonly audioSampleRate: number;
  readonly createdAt: number;
  readonly stream: HlsStream;
  readonly events: SessionEvents;
  readonly #avatar: Avatar | undefined;
  readonly #talk: Talk;
  readonly #journal: SessionJournal | undefined;
  readonly #onComplete: (() => Promise<void>) | undefined;
  /** What is done behind the last frame. */
  #settling: Promise<void> | undefined;
  readonly #logger: Logger;
  readonly #instruments: Instruments | undefined;
  readonly #order = new FeedOrder(GAP_SECONDS);
  #complete = false;
  #error: AppError | undefined;
  #finalChunkSeen = false;
  #interruptions = 0;
  /** Sounds that were accepted. */
  #sounds = 0;
  /** What was taken in again, where the session came back. */
  #replay: Replay | undefined;
  #lastActivity = now();
  /** When speech was last accepted, or the session opened. */
  #fedAt = now();
  #closed = false;
  /** It was closed with the service, and not deleted. */
  #filesStay = false;

  constructor(parts: SessionParts) {
    this.id = parts.id;
    this.live = parts.live;
    this.audioSampleRate = parts.audioSampleRate;
    this.createdAt = parts.createdAt;
    this.stream = parts.stream;
    this.events = new SessionEvents(parts.fps, parts.lastEventId);
    this.#avatar = parts.avatar;
    this.#talk = parts.talk;
    this.#journal = parts.journal;
    this.#logger = parts.logger;
    this.#instruments = parts.instruments;
    this.#onComplete = parts.onComplete;
    if (parts.ended) this.#endedBefore(parts.ended.failure);
    if (this.#avatar) this.#avatar.onLost = (reason) => this.fail(reason);
    if (this.over) return;
    this.#talk.start({
      onSpeech: (speaking, frame) => {
        // Viewers come after the last frame: the idle time begins here.
        this.touch();
        this.events.tell(speaking ? 'speech_started' : 'speech_ended', frame);
      },
      onLag: (frames, frame) => {
        this.#logger.warn({ frames, frame }, 'frames came too late');
        const detail = `Frames not drawn in time, for which the picture before was shown again: ${frames}.`;
        this.events.tell('lagging', frame, { detail });
      },
      onShown: (frame, sound, seconds) => {
        // The journal counts in the whole sound, and the talk in what it was given of it.
        const heardBefore = this.#replay?.heardSeconds(sound) ?? 0;
        this.#note({ kind: 'shown', frame, sound, seconds: heardBefore + seconds });
        this.#forgetSaid();
      },
      onComplete: () => this.#completed(),
      onFailure: (reason) => this.fail(reason),
    });
  }

  get state(): SessionState {
    if (this.#error) return 'error';
    if (this.#complete) return 'complete';
    return this.#talk.speaking ? 'processing' : 'waiting_for_audio';
  }

  /** No more frames will come. */
  get over(): boolean {
    return this.#closed || this.#complete || this.#error !== undefined;
  }

  /** What ended the session in state `error`, in words for the caller. */
  get error(): string | null {
    return this.#error?.message ?? null;
  }

  get framesGenerated(): number {
    return this.#talk.frames;
  }

  /** Samples at 16 kHz accepted but not yet turned into frames. */
  get bufferedSamples(): number {
    return this.#talk.bufferedSamples;
  }

  /** Seconds of speech accepted but not yet turned into frames. */
  get queuedSeconds(): number {
    return this.bufferedSamples / MODEL_SAMPLE_RATE;
  }

  /** See `Talk.lagSeconds`; 0 when it is over. */
  get lagSeconds(): number {
    return this.over ? 0 : this.#talk.lagSeconds;
  }

  /** It is not kept in real time as it is. */
  get behind(): boolean {
    // Before its first picture a live talk is late by however long that takes, which tells nothing of the machine.
    return !this.over && (this.live ? this.#talk.lateShare > LATE_SHARE : this.lagSeconds > LAG_SECONDS);
  }

  /** When it was last fed or viewed, in milliseconds of `now()`. */
  get lastActivity(): number {
    return this.#lastActivity;
  }

  /** It takes a part of the machine, or is about to: a fed talk that nobody feeds takes none. */
  get demanding(): boolean {
    if (this.over) return false;
    return this.live || this.#talk.speaking || now() - this.#fedAt < RESTING_AFTER_MILLISECONDS;
  }

  /** Notes that somebody still wants this session. */
  touch(): void {
    this.#lastActivity = now();
  }

  /**
   * Accepts one chunk: when this resolves, its sound will be played. A refused chunk changes nothing.
   * @param signal drops it, its bytes included, as long as its turn has not come
   * @returns `'duplicate'` when a chunk of this index was accepted before
   * @throws AppError `session_closed` after the final chunk, `session_lagging` when too much waits, `invalid_audio`; the
   *   signal's reason
   */
  async feed({ audio, index, final }: SpeechChunk, signal?: AbortSignal): Promise<'accepted' | 'duplicate'> {
    this.touch();
    const interruptions = this.#interruptions;
    const accept = async () => {
      this.#refuseIfOver();
      const pcm =
        audio &&
        (await timed(this.#instruments, 'decode', () =>
          decodeAudioChunk(audio.bytes, { ...audio, sampleRate: this.audioSampleRate }),
        ));
      // Where an interruption overtook it, it is dropped with the rest.
      const heard = pcm && interruptions === this.#interruptions ? pcm : undefined;
      const { contentType = '', fileName = '' } = audio ?? {};
      await this.#accept({ kind: 'chunk', index, final, contentType, fileName }, heard && audio?.bytes, heard);
      return 'accepted' as const;
    };
    return this.#order.run(index, accept, signal);
  }

  /**
   * Accepts speech that is decoded already, in turn with chunks.
   * @throws AppError as `feed` does
   */
  speak(pcm: PcmAudio): Promise<void> {
    const interruptions = this.#interruptions;
    return this.#inTurn(async () => {
      if (interruptions !== this.#interruptions) return;
      await this.#accept({ kind: 'sound', sampleRate: pcm.sampleRate }, bytesOfSound(pcm), pcm);
    });
  }

  /**
   * What was accepted last is the end of an utterance: it is not held back for what may follow.
   * @throws AppError `session_closed`
   */
  endUtterance(): Promise<void> {
    return this.#inTurn(() => this.#accept({ kind: 'end_of_utterance' }));
  }

  /**
   * Drops the speech that is not heard yet, chunks included that are still being read, and closes the mouth.
   * @returns seconds of speech that were accepted and will not be heard
   * @throws AppError `not_live`, `session_closed`
   */
  async interrupt(): Promise<{ droppedSeconds: number }> {
    if (!this.#talk.interrupt) {
      throw new AppError('not_live', 'Only a live session can be interrupted: init it with live=true.');
    }
    this.#refuseIfOver();
    this.touch();
    this.#interruptions++;
    // Noted at once: what is accepted while it is being carried out follows it.
    const noted = this.#note({ kind: 'interrupted' });
    const [dropped, notTakenIn] = await Promise.all([
      this.#talk.interrupt(),
      // How much that is can only be said where it can be read.
      this.#replay?.silence().catch((err) => this.#logger.warn({ err }, 'sound that is left out not read')),
      noted,
    ]);
    const droppedSeconds = dropped / MODEL_SAMPLE_RATE + (notTakenIn ?? 0);
    this.#forgetSaid();
    this.events.tell('interrupted', this.framesGenerated, { droppedSeconds });
    return { droppedSeconds };
  }

  /**
   * Takes in again what was accepted before the service was started anew. What is fed meanwhile waits its turn.
   * @param ready what is to be waited for first
   * @throws AppError as `feed` does
   */
  async replay(recovery: Recovery, ready?: Promise<void>): Promise<void> {
    const { lastIndex, sounds, shown } = recovery;
    if (lastIndex !== undefined) this.#order.resumeAfter(lastIndex);
    const replay = new Replay(recovery, this.audioSampleRate);
    this.#replay = replay;
    await this.#order.run(undefined, async () => {
      if (shown) await this.#note(shown);
      await ready;
      while (replay.next) {
        const { accepted, sound = sounds } = replay.next;
        const pcm = await replay.sound();
        this.#sounds = sound;
        replay.advance();
        await this.#take(accepted, pcm);
      }
      this.#sounds = sounds;
      await replay.settled();
    });
  }

  /** Ends the talk after what has been accepted, as a final chunk would, and waits for its last frame. */
  async finish(): Promise<void> {
    // In turn with the chunks: one that is just being accepted may be the final one.
    await this.#order.run(undefined, async () => {
      if (!this.#finalChunkSeen && !this.over) await this.#accept({ kind: 'finish' });
    });
    await this.#talk.settled();
  }

  /** Waits until all that was accepted is in the stream. */
  async quiet(): Promise<void> {
    while (!this.over && this.#talk.speaking) await sleep(QUIET_LOOK_MILLISECONDS);
  }

  /** Ends the session now and frees everything it holds. Idempotent. */
  async close({ removeFiles }: { removeFiles: boolean }): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#filesStay = !removeFiles;
    this.#order.close();
    // A talk that is complete has told it, and one whose files stay comes back.
    if (!this.#complete && removeFiles) this.events.tell('closed', this.framesGenerated);
    await this.#settling;
    await this.#journal?.close();
    await this.stream.close({ removeFiles });
    // First, because it takes back what waits for its turn: that of a talk which is far ahead may be long in coming.
    await this.#freeMakers();
    await this.#talk.settled();
  }

  /** Ends the session because its encoder or its avatar failed; the reason shows in its status. */
  fail(reason: unknown): void {
    if (this.over) return;
    this.#error = AppError.from(reason);
    this.#logger.error({ err: this.#error, cause: this.#error.cause }, 'session failed');
    this.#order.close();
    this.events.tell('error', this.framesGenerated, { detail: this.#error.message });
    this.#note({ kind: 'failed', detail: this.#error.message, lastEventId: this.events.lastId });
    // What has been rendered stays to be seen, and players learn that no more will come.
    this.stream.finish().catch(() => undefined);
    this.#freeMakers().catch((err) => this.#logger.warn({ err }, 'avatar not closed cleanly'));
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    this.touch();
    await this.#order.run(undefined, work);
    this.touch();
  }

  /**
   * Notes what is to be taken in, then lets the talk have it, whole or not at all.
   * @param pcm the sound in it, if any
   */
  async #accept(accepted: Accepted, bytes?: Uint8Array, pcm?: PcmAudio): Promise<void> {
    this.#refuseIfOver();
    if (pcm) this.#talk.admit(pcm.samples.length / pcm.sampleRate);
    const interruptions = this.#interruptions;
    await this.#journal?.accept(accepted, bytes);
    if (this.#comesBack) return;
    this.#refuseIfOver();
    // An interruption that came meanwhile is noted behind it.
    await this.#take(accepted, interruptions === this.#interruptions ? pcm : undefined);
    if (pcm) this.#sounds++;
    this.#forgetSaid();
    this.#fedAt = now();
    this.touch();
  }

  async #take(accepted: Accepted, pcm: PcmAudio | undefined): Promise<void> {
    const { kind } = accepted;
    try {
      if (pcm) await this.#talk.push(pcm, this.#sounds);
      if (kind === 'end_of_utterance') await this.#talk.endUtterance();
      if (kind === 'finish' || (kind === 'chunk' && accepted.final)) {
        this.#finalChunkSeen = true;
        await this.#talk.finish();
      }
    } catch (error) {
      if (this.#comesBack) return;
      // A session that ends takes its resamplers away from under a chunk.
      if (this.over) this.#refuseIfOver();
      // Half a chunk is in: sound and picture would part.
      if (!(error instanceof AppError)) this.fail(error);
      throw error;
    }
  }

  /** Keeps the journal of a live talk from growing with whatever it is told. */
  #forgetSaid(): void {
    if (!this.live || this.over) return;
    this.#journal
      ?.compact(this.stream.framesStored)
      .catch((err) => this.#logger.warn({ err }, 'journal not compacted'));
  }

  /** Notes something that happens all the same. Resolves when it is on the disk, or is not to be had there. */
  async #note(accepted: Accepted): Promise<void> {
    if (this.#closed) return;
    await this.#journal?.accept(accepted).catch((err) => this.#logger.warn({ err }, 'journal not written'));
  }

  #completed(): void {
    if (this.over) return;
    this.#complete = true;
    this.touch();
    this.#logger.info({ frames: this.framesGenerated }, 'talk complete');
    this.events.tell('closed', this.framesGenerated);
    this.#settling = this.#note({ kind: 'complete', lastEventId: this.events.lastId }).then(this.#onComplete);
    this.#freeMakers().catch((err) => this.#logger.warn({ err }, 'avatar not closed cleanly'));
  }

  /** It was over in an earlier life: that was logged and counted then, and a listener may still have to be told. */
  #endedBefore(failure: AppError | undefined): void {
    this.#complete = !failure;
    this.#error = failure;
    this.#order.close();
    if (failure) this.events.tell('error', this.framesGenerated, { detail: failure.message });
    else this.events.tell('closed', this.framesGenerated);
  }

  /** Lets go of what makes frames: a talk that is over is only its stream. */
  async #freeMakers(): Promise<void> {
    this.#talk.stop();
    await this.#avatar?.close();
  }

  /** It goes on when the service is there again; what is in the journal is taken in then. */
  get #comesBack(): boolean {
    return this.#closed && this.#filesStay && !this.#error && !this.#complete;
  }

  #refuseIfOver(): void {
    if (this.#closed) {
      throw this.#filesStay ? shuttingDown() : new AppError('session_not_found', 'The session was deleted.');
    }
    if (this.#error)
      throw new AppError('session_closed', `The session has ended with an error: ${this.#error.message}`);
    if (this.#finalChunkSeen || this.#complete) {
      throw new AppError('session_closed', 'The final chunk was fed before; init another session to go on speaking.');
    }
  }
}
