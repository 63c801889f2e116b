import { PageError } from '../page-error.js';

/** @import { FacecastSession, SpeechSocket, SpeechStatus } from 'facecast-client' */

/**
 * The way of the speech to the service: one WebSocket, opened when there is something to say and again where it broke.
 */
export class SpeechLine {
  #session;
  #options;
  /** @type {Promise<SpeechSocket> | undefined} */
  #socket;
  /** Whether the service has stopped reading because it has enough. */
  #paused = false;

  /**
   * @param {FacecastSession} session
   * @param {{ onStatus: (status: SpeechStatus) => void, signal: AbortSignal }} options `signal` closes the line
   */
  constructor(session, options) {
    this.#session = session;
    this.#options = options;
    options.signal.addEventListener('abort', () => this.close());
  }

  /** Makes ready, so that the first word need not wait. */
  async open() {
    await this.#open();
  }

  /** @param {Uint8Array} bytes 16-bit samples of the session's rate; waits while too much is on its way */
  async send(bytes) {
    await (await this.#open()).send(bytes);
  }

  /** The sentence is complete: nothing of it is to wait for more. */
  async endUtterance() {
    await (await this.#open()).endUtterance();
  }

  /**
   * Drops what has not been said. Over the socket it stays behind what was sent before; where the service does not
   * read that now, beside it.
   */
  async interrupt() {
    const socket = this.#paused ? undefined : await this.#socket?.catch(() => undefined);
    await (socket ?? this.#session).interrupt();
  }

  close() {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.then((open) => open.close()).catch(() => undefined);
  }

  #open() {
    this.#socket ??= this.#connect();
    return this.#socket;
  }

  async #connect() {
    const { onStatus, signal } = this.#options;
    try {
      const socket = await this.#session.openSpeech({
        format: 'pcm',
        signal,
        onStatus: (status) => {
          this.#paused = status.paused;
          onStatus(status);
        },
      });
      const forget = () => {
        this.#socket = undefined;
        this.#paused = false;
      };
      socket.closed.then(forget, forget);
      return socket;
    } catch (error) {
      this.#socket = undefined;
      if (signal.aborted) throw error;
      throw new PageError('speech_line', /** @type {Error} */ (error).message, error);
    }
  }
}
