import { PageError } from '../page-error.js';
import { Microphone } from './microphone.js';
import { bytesOf, decodeToPcm } from './pcm.js';
import { sayRecording } from './say-recording.js';
import { SpeechLine } from './speech-line.js';
import { VoiceGate } from './voice-gate.js';

/** @import { FacecastSession } from 'facecast-client' */
/** @import { SoundBlock } from './microphone.js' */

/** Blocks of 20 ms that may wait for the network: five seconds. */
const MAX_WAITING_BLOCKS = 250;

/**
 * @typedef {object} SpeechListener
 * @property {(queuedSeconds: number) => void} onQueue seconds of speech that the service has still to say
 * @property {(level: number) => void} onLevel loudness of the microphone, 0 to 1; also while nothing of it is sent
 * @property {(error: unknown) => void} onError the microphone or the line has failed; what was going on has stopped
 */

/** What is said in a live session: the microphone's sound or a recording, one at a time. */
export class LiveSpeech {
  #session;
  #listener;
  #line;
  /** @type {Microphone | undefined} */
  #microphone;
  /** Settles when it can be heard. @type {Promise<unknown> | undefined} */
  #opening;
  /** What happens to the microphone's sound; undefined while it is only kept ready. @type {((block: SoundBlock) => void) | undefined} */
  #onBlock;
  /** Sound on its way to the line, in order. */
  #sending = Promise.resolve();
  #waiting = 0;
  /** @type {AbortController | undefined} */
  #recording;

  /**
   * @param {FacecastSession} session
   * @param {SpeechListener & { attach: () => FacecastSession, signal: AbortSignal }} listener `attach` comes back to the
   *   same session, without what an aborted request left open; `signal` ends it all
   */
  constructor(session, listener) {
    this.#session = session;
    this.#listener = listener;
    const { signal, onQueue } = listener;
    this.#line = new SpeechLine(session, { signal, onStatus: (status) => onQueue(status.queuedSeconds) });
    signal.addEventListener('abort', () => this.#close());
  }

  /** Opens the line before there is something to say: what is said while it opens would be late. */
  prepare() {
    // What is wrong with it is told when somebody speaks.
    this.#line.open().catch(() => undefined);
  }

  /**
   * Lets the microphone be heard. Speaking oneself ends the recording that is being said.
   * @param {{ gated: boolean }} options whether only what sounds like a voice is sent
   */
  async startMicrophone({ gated }) {
    const gate = gated ? new VoiceGate() : undefined;
    this.#onBlock = (block) => this.#take(block, gate);
    if (this.#recording) await this.interrupt();
    this.#microphone ??= new Microphone();
    this.#opening ??= Promise.all([this.#line.open(), this.#open(this.#microphone)]);
    try {
      await this.#opening;
    } catch (error) {
      this.closeMicrophone();
      throw error;
    }
  }

  /** Nothing more of it is sent, but it stays ready: opening it takes longer than a word. */
  stopMicrophone() {
    if (!this.#onBlock) return;
    this.#onBlock = undefined;
    if (this.#microphone) this.#endUtterance();
  }

  closeMicrophone() {
    this.stopMicrophone();
    this.#microphone?.close();
    this.#microphone = undefined;
    this.#opening = undefined;
  }

  /**
   * Says a recording, until its end or an interruption. What is being said of another is interrupted.
   * @param {File} file
   * @throws FacecastError, PageError
   */
  async say(file) {
    const interrupted = this.#recording ? this.interrupt() : undefined;
    const recording = new AbortController();
    this.#recording = recording;
    const { signal } = recording;
    try {
      await interrupted;
      const { audioSampleRate } = this.#session;
      const samples = await decodeToPcm(file, audioSampleRate);
      signal.throwIfAborted();
      if (samples) await sayRecording(samples, audioSampleRate, this.#line, signal);
      // The service reads more formats than a browser.
      else await this.#listener.attach().stream(file, { pace: 'full', final: false, signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      if (this.#recording === recording) this.#recording = undefined;
    }
  }

  /** Whether a recording is being said. */
  get saying() {
    return this.#recording !== undefined;
  }

  /** Drops what has not been said yet. */
  async interrupt() {
    this.#recording?.abort();
    this.#recording = undefined;
    await this.#line.interrupt();
  }

  /** @param {Microphone} microphone */
  #open(microphone) {
    return microphone.open(this.#session.audioSampleRate, {
      onBlock: (block) => {
        this.#listener.onLevel(block.level);
        this.#onBlock?.(block);
      },
      onLost: () => {
        this.#fail(new PageError('microphone_missing'));
        // Also where it was only kept ready.
        this.closeMicrophone();
      },
    });
  }

  /** @param {SoundBlock} block @param {VoiceGate | undefined} gate */
  #take({ samples, level }, gate) {
    const { send, ended } = gate ? gate.push(samples, level) : { send: [samples], ended: false };
    for (const block of send) this.#send((line) => line.send(bytesOf(block)));
    if (ended) this.#endUtterance();
  }

  /** The service answers when it has taken it all in; what is said next need not wait for that. */
  #endUtterance() {
    this.#send(async (line) => {
      line.endUtterance().catch((error) => this.#fail(error));
    });
  }

  /** @param {(line: SpeechLine) => Promise<void>} step */
  #send(step) {
    if (this.#waiting++ === MAX_WAITING_BLOCKS) {
      this.#fail(new PageError('speech_line', 'The connection is too slow for the microphone.'));
    }
    this.#sending = this.#sending
      .then(() => step(this.#line))
      .catch((error) => this.#fail(error))
      .finally(() => this.#waiting--);
  }

  /** @param {unknown} error */
  #fail(error) {
    if (!this.#onBlock) return;
    this.#onBlock = undefined;
    this.closeMicrophone();
    if (!this.#listener.signal.aborted) this.#listener.onError(error);
  }

  #close() {
    this.#recording?.abort();
    this.#onBlock = undefined;
    this.closeMicrophone();
  }
}
