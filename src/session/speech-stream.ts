import { setTimeout as sleep } from 'node:timers/promises';
import type { PcmAudio } from '../audio/pcm.js';
import { PcmStream } from '../audio/pcm-stream.js';
import { StreamDecoder } from '../audio/stream-decoder.js';
import { AppError } from '../errors.js';
import { type HeldEntry, HeldSpeech } from './held-speech.js';

/** `pcm`: headerless 16-bit little-endian mono at the session's rate. `webm`: one continuous recording, Opus in WebM. */
export type SpeechFormat = 'pcm' | 'webm';

/** What a stream of speech needs of its session; `Session` is one. */
export interface StreamedSession {
  readonly audioSampleRate: number;
  readonly queuedSeconds: number;
  speak(sound: PcmAudio): Promise<void>;
  endUtterance(): Promise<void>;
  interrupt(): Promise<{ droppedSeconds: number }>;
  finish(): Promise<void>;
}

export interface SpeechStreamListener {
  /** So much waits that the sender had better wait too; or nothing is held back any more. */
  onPaused(paused: boolean): void;
  /** An `endUtterance` has its effect, or what it ended was dropped by an interruption. */
  onUtteranceEnded(): void;
  /** The session was told to finish, and has. */
  onFinished(): void;
  /** The sound or the session is broken; nothing more is taken. */
  onFailure(error: unknown): void;
}

export interface SpeechStreamOptions {
  readonly session: StreamedSession;
  readonly format: SpeechFormat;
  /** Seconds queued in the session above which sound is held back. */
  readonly highWaterSeconds: number;
  /** What an earlier stream still holds goes first. */
  readonly after?: Promise<unknown> | undefined;
  readonly listener: SpeechStreamListener;
}

/** Samples are held and handed on in pieces of this length, so that the session is never far above the mark. */
const PIECE_SECONDS = 0.25;
/** The session's clock takes speech out a few times a second; a look so often wastes nothing and is never late. */
const LOOK_MS = 50;
/** A recording's decoder that was silent for so long has given all: the end of an utterance is in no haste ... */
const QUIET_BEHIND_UTTERANCE_MS = 300;
/** ... but what is said after an interruption is lost until then. */
const QUIET_BEHIND_DISCARDED_MS = 100;
/** Senders go on when the session has come down to this part of the mark: one that just fits in would stop them again. */
const LOW_WATER = 0.8;

/**
 * Bytes of speech as they arrive, brought to a session in order and no faster than it plays: what it has no room for is held
 * here. Nothing is dropped but by an interruption, which overtakes everything held. Words about the sound (`endUtterance`,
 * `finish`) keep their place in it.
 */
export class SpeechStream {
  readonly #session: StreamedSession;
  readonly #highWaterSeconds: number;
  readonly #listener: SpeechStreamListener;
  readonly #held = new HeldSpeech();
  readonly #pcm = new PcmStream();
  readonly #decoder: StreamDecoder | undefined;
  readonly #done: Promise<void>;
  /** Calls of the session go one after the other. */
  #calls: Promise<unknown> = Promise.resolve();
  /** Counts interruptions: sound of an earlier count is not to be heard. */
  #epoch = 0;
  /** Sound that comes out of the decoder belongs to what was interrupted. */
  #discarding = false;
  /** A piece waits for the session to have room. */
  #waiting = false;
  #paused = false;
  /** Sound was spoken since the last utterance ended. */
  #speaking = false;
  #stopped = false;
  #acceptedSeconds = 0;

  constructor({ session, format, highWaterSeconds, after, listener }: SpeechStreamOptions) {
    this.#session = session;
    this.#highWaterSeconds = highWaterSeconds;
    this.#listener = listener;
    if (format === 'webm') {
      this.#decoder = new StreamDecoder({ onSound: (sound) => this.#decoded(sound) });
      this.#decoder.ended.catch((error) => this.#fail(error));
    }
    this.#done = this.#run(after).catch((error) => this.#fail(error));
  }

  /** Bytes that wait for the session to have room. */
  get heldBytes(): number {
    return this.#held.bytes;
  }

  /** Seconds of sound that wait here; 0 for `webm`, whose length only the decoder knows. */
  get heldSeconds(): number {
    return this.#held.samples / this.#session.audioSampleRate;
  }

  /** Sound is held back until the session has played some. */
  get paused(): boolean {
    return this.#paused;
  }

  /** Seconds of sound that the session has accepted from here. */
  get acceptedSeconds(): number {
    return this.#acceptedSeconds;
  }

  /** Takes sound; half a sample waits for its other half. */
  write(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#decoder) {
      this.#held.add({ kind: 'recording', bytes });
      return;
    }
    const samples = this.#pcm.push(bytes);
    const step = Math.ceil(this.#session.audioSampleRate * PIECE_SECONDS);
    for (let at = 0; at < samples.length; at += step) {
      this.#held.add({ kind: 'samples', samples: samples.subarray(at, at + step) });
    }
  }

  /** What was written so far is an utterance: its end is not held back for what may follow. */
  endUtterance(): void {
    this.#held.add({ kind: 'end of utterance' });
  }

  /** The talk ends after what was written so far. */
  finish(): void {
    this.#held.add({ kind: 'finish' });
  }

  /**
   * Drops everything written so far that has not been heard.
   * @returns seconds dropped; of `webm` without those that were not decoded yet
   * @throws AppError as the session's `interrupt` does
   */
  async interrupt(): Promise<{ droppedSeconds: number }> {
    const heldSeconds = this.dropHeld();
    const { droppedSeconds } = await this.#call(() => this.#session.interrupt());
    return { droppedSeconds: droppedSeconds + heldSeconds };
  }

  /** Drops what is held here, as when the session was interrupted by somebody else. @returns its seconds */
  dropHeld(): number {
    this.#epoch++;
    this.#speaking = false;
    const { samples, utterances } = this.#held.drop();
    for (let i = 0; i < utterances; i++) this.#listener.onUtteranceEnded();
    if (this.#decoder) {
      // The recording goes on behind what is dropped, and can only be decoded whole.
      this.#discarding = true;
      this.#held.add({ kind: 'end of discarded', epoch: this.#epoch });
    }
    return samples / this.#session.audioSampleRate;
  }

  /** Nothing more will be written. Resolves when the session has everything, or never will. */
  close(): Promise<void> {
    this.#held.add({ kind: 'end' });
    return this.#done;
  }

  /** Forgets what is held and ends the decoder. Idempotent. */
  stop(): void {
    this.#stopped = true;
    this.#held.close();
    this.#decoder?.close();
  }

  async #run(after: Promise<unknown> | undefined): Promise<void> {
    await after;
    for (let entry = await this.#held.first(); entry; entry = await this.#held.first()) {
      if (entry.kind === 'finish' || entry.kind === 'end') {
        this.#held.remove(entry);
        return this.#end(entry.kind);
      }
      if (entry.kind === 'samples') await this.#speak(entry.samples, this.#session.audioSampleRate, entry);
      if (entry.kind === 'recording') await this.#decoder!.write(entry.bytes);
      if (entry.kind === 'end of utterance') await this.#endUtterance(entry);
      if (entry.kind === 'end of discarded') {
        await this.#decoder!.settle(QUIET_BEHIND_DISCARDED_MS);
        if (entry.epoch === this.#epoch) this.#discarding = false;
      }
      this.#held.remove(entry);
    }
  }

  async #end(kind: 'finish' | 'end'): Promise<void> {
    await this.#decoder?.end();
    await this.#calls;
    if (this.#stopped) return;
    if (kind === 'finish') await this.#session.finish();
    else if (this.#speaking) await this.#session.endUtterance();
    if (this.#stopped) return;
    this.stop();
    if (kind === 'finish') this.#listener.onFinished();
  }

  async #endUtterance(entry: HeldEntry): Promise<void> {
    const epoch = this.#epoch;
    await this.#decoder?.settle(QUIET_BEHIND_UTTERANCE_MS);
    await this.#call(async () => {
      if (this.#stopped || epoch !== this.#epoch) return;
      // An interruption from here on finds it done.
      this.#held.remove(entry);
      await this.#session.endUtterance();
      this.#speaking = false;
      this.#listener.onUtteranceEnded();
    });
  }

  async #decoded({ samples, sampleRate }: PcmAudio): Promise<void> {
    if (!this.#discarding) await this.#speak(samples, sampleRate);
  }

  /**
   * Waits for room, then hands one piece on, unless an interruption comes before.
   * @param entry where the piece is held, until the session has it
   */
  async #speak(samples: Float32Array, sampleRate: number, entry?: HeldEntry): Promise<void> {
    const epoch = this.#epoch;
    const wanted = () => !this.#stopped && epoch === this.#epoch;
    while (wanted()) {
      if (this.#session.queuedSeconds < this.#highWaterSeconds) {
        const accepted = await this.#call(async () => {
          if (!wanted()) return true;
          // From here on an interruption finds the piece in the session.
          if (entry) this.#held.remove(entry);
          if (await this.#accepted({ samples, sampleRate })) return true;
          if (entry && wanted()) this.#held.putBack(entry);
          return false;
        });
        if (accepted) break;
      }
      this.#waiting = true;
      this.#pause();
      await sleep(LOOK_MS);
    }
    this.#waiting = false;
  }

  /** @returns false when the session has no room after all, for others may feed it too */
  async #accepted(sound: PcmAudio): Promise<boolean> {
    try {
      await this.#session.speak(sound);
    } catch (error) {
      if (error instanceof AppError && error.code === 'session_lagging') return false;
      throw error;
    }
    this.#speaking = true;
    this.#acceptedSeconds += sound.samples.length / sound.sampleRate;
    return true;
  }

  #call<T>(work: () => Promise<T>): Promise<T> {
    const call = this.#calls.then(work);
    this.#calls = call.catch(() => undefined);
    return call;
  }

  /** Says that the sender had better wait, and when it need not any more. */
  async #pause(): Promise<void> {
    if (this.#paused) return;
    this.#paused = true;
    this.#listener.onPaused(true);
    const mark = this.#highWaterSeconds * LOW_WATER;
    while (this.#waiting || this.#held.bytes > 0 || this.#session.queuedSeconds > mark) {
      await sleep(LOOK_MS);
      if (this.#stopped) return;
    }
    this.#paused = false;
    this.#listener.onPaused(false);
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.stop();
    this.#listener.onFailure(error);
  }
}
