import { type Bytes, blobOf } from './bytes.js';
import { FacecastError, type FacecastErrorCode } from './facecast-error.js';
import type { Interruption, SessionState } from './session-types.js';
import type { Transport } from './transport.js';
import type { WebSocketLike } from './web-socket.js';

export interface SpeechOptions {
  /**
   * `pcm`: 16-bit little-endian mono samples of the session's rate. `webm`: one continuous recording, Opus in WebM, as a
   * browser's `MediaRecorder` makes it. Default `pcm`.
   */
  readonly format?: 'pcm' | 'webm';
  /** Called about once a second while sound arrives, and whenever `paused` changes. */
  readonly onStatus?: (status: SpeechStatus) => void;
  /** Closes the socket. */
  readonly signal?: AbortSignal;
}

/** The service's word on the session while it is spoken to. */
export interface SpeechStatus {
  readonly status: SessionState;
  /** Seconds of speech received, but not shown yet. */
  readonly queuedSeconds: number;
  /** Frames shown so far, 25 a second. */
  readonly framesGenerated: number;
  /** So much is queued that `send` waits. */
  readonly paused: boolean;
}

/** Bytes of one message; the service takes 1 MB. Short ones let words through between them. */
const MESSAGE_BYTES = 64 * 1024;
/** Bytes on their way to the network above which `send` waits. */
const MAX_BUFFERED_BYTES = 256 * 1024;
/** Neither browsers nor `ws` tell when these have become fewer. */
const LOOK_MILLISECONDS = 20;

interface Waiter {
  readonly type: string;
  readonly resolve: (message: Message) => void;
  readonly reject: (error: unknown) => void;
}

// biome-ignore lint/suspicious/noExplicitAny: the service's JSON; each type's fields are in docs/api.md
type Message = Record<string, any>;

/**
 * A socket that brings speech to a live session while it is made: `FacecastSession.openSpeech` opens it.
 *
 *     const speech = await session.openSpeech();
 *     for await (const pcm of synthesiser) await speech.send(pcm);
 *     await speech.endUtterance();
 *
 * It does not connect again by itself: after a connection that broke nobody knows how much of the last sound arrived.
 */
export class SpeechSocket {
  /**
   * Resolves when the socket was closed by `close`, or because the talk was finished. Rejects with the FacecastError, or the
   * signal's reason, that closed it otherwise.
   */
  readonly closed: Promise<void>;
  readonly #socket: WebSocketLike;
  readonly #onStatus: ((status: SpeechStatus) => void) | undefined;
  #status: SpeechStatus = { status: 'waiting_for_audio', queuedSeconds: 0, framesGenerated: 0, paused: false };
  /** Who waits for an answer, in the order they asked. */
  #waiters: Waiter[] = [];
  /** Sound, and words that have their place in it, go one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  /** Counts interruptions: what waits to be sent since an earlier one is dropped. */
  #epoch = 0;
  /** Nothing more can be sent. */
  #isClosed = false;
  /** The error that the service spoke of last: if it closes the socket, because of that. */
  #told: FacecastError | undefined;
  /** Why the socket is closed, where it is not in peace. */
  #reason: unknown;

  /** @internal */
  static async open(transport: Transport, path: string, options: SpeechOptions): Promise<SpeechSocket> {
    const { format = 'pcm', signal } = options;
    signal?.throwIfAborted();
    const socket = new SpeechSocket(transport.webSocket(`${path}?format=${format}`), options);
    const { timeoutSeconds } = transport;
    const timer = setTimeout(() => {
      const detail = `${transport.url(path)} did not answer within ${timeoutSeconds} s.`;
      socket.#closeBecause(new FacecastError({ code: 'timeout', detail }));
    }, timeoutSeconds * 1000);
    try {
      await socket.#answer('ready');
      return socket;
    } finally {
      clearTimeout(timer);
    }
  }

  private constructor(socket: WebSocketLike, { onStatus, signal }: SpeechOptions) {
    this.#socket = socket;
    this.#onStatus = onStatus;
    socket.addEventListener('message', ({ data }) => this.#received(String(data)));
    // What went wrong is told by the `close` that follows.
    socket.addEventListener('error', ({ error, message }) => {
      this.#reason ??= new FacecastError({
        code: 'network',
        detail: `The socket failed${message ? `: ${message}` : '.'}`,
        cause: error,
      });
    });
    const abort = () => this.#closeBecause(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    this.closed = new Promise((resolve, reject) => {
      socket.addEventListener('close', ({ code, reason }) => {
        signal?.removeEventListener('abort', abort);
        this.#isClosed = true;
        this.#reason ??= isPeaceful(code) ? undefined : (this.#told ?? closeError(code, String(reason ?? '')));
        for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#reason ?? alreadyClosed());
        if (this.#reason) reject(this.#reason);
        else resolve();
      });
    });
    this.closed.catch(() => undefined);
  }

  /** Seconds of speech received by the service, but not shown yet, when it last said. */
  get queuedSeconds(): number {
    return this.#status.queuedSeconds;
  }

  /**
   * Sends sound, any number of bytes of it. Calls queue up. Waits while the service has enough, and while the network is
   * slower than the sound; an interruption ends the waiting, and the sound that waited is dropped.
   * @throws FacecastError why the socket is closed
   */
  async send(sound: Bytes): Promise<void> {
    await this.#inOrder(async (dropped) => {
      const bytes = await bytesOf(sound);
      for (let at = 0; at < bytes.length; at += MESSAGE_BYTES) {
        while (!dropped() && this.#isFull) await sleep(LOOK_MILLISECONDS);
        if (dropped()) return;
        this.#refuseIfClosed();
        this.#socket.send(bytes.subarray(at, at + MESSAGE_BYTES));
      }
    });
  }

  /**
   * What was sent so far is an utterance: its end is not held back for what may follow. Resolves when the service has taken
   * all of it in, which is before it is heard, or when an interruption dropped it.
   */
  async endUtterance(): Promise<void> {
    const asked = await this.#inOrder(async (dropped) => {
      return dropped() ? undefined : { answer: this.#ask('end_of_utterance', 'utterance_ended') };
    });
    await asked?.answer;
  }

  /**
   * Drops everything that was sent so far and has not been heard, and what waits to be sent, and closes the mouth. What is
   * sent from now on is heard.
   * @returns seconds that the service had and dropped; of `webm` without those that it had not decoded yet
   */
  async interrupt(): Promise<Interruption> {
    this.#epoch++;
    const { dropped_seconds: droppedSeconds } = await this.#ask('interrupt', 'interrupted');
    return { droppedSeconds };
  }

  /** What the session is doing. */
  async status(): Promise<SpeechStatus> {
    await this.#ask('status', 'status');
    return this.#status;
  }

  /** Ends the talk after what has been sent. Resolves when its last frame is made, and the socket closed. */
  async finish(): Promise<void> {
    await this.#inOrder(async () => this.#say('finish'));
    await this.closed;
  }

  /**
   * Closes the socket; the session stays open. What was sent is heard, what waits to be sent is not. Resolves when the service
   * has taken leave. A socket that is closed already is no error.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#socket.close(1000);
    await this.closed.catch(() => undefined);
  }

  get #isFull(): boolean {
    return !this.#isClosed && (this.#status.paused || this.#socket.bufferedAmount > MAX_BUFFERED_BYTES);
  }

  #inOrder<T>(work: (dropped: () => boolean) => Promise<T>): Promise<T> {
    const epoch = this.#epoch;
    const turn = this.#last.then(() => work(() => epoch !== this.#epoch));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  #ask(word: string, answer: string): Promise<Message> {
    this.#say(word);
    return this.#answer(answer);
  }

  #say(word: string): void {
    this.#refuseIfClosed();
    this.#socket.send(JSON.stringify({ type: word }));
  }

  #answer(type: string): Promise<Message> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ type, resolve, reject });
    });
  }

  #received(text: string): void {
    const message = parseMessage(text);
    if (!message) {
      const detail = 'What came from the socket is not in JSON. Is this a Facecast server?';
      this.#closeBecause(new FacecastError({ code: 'bad_response', detail }));
      return;
    }
    if (message.type === 'error') {
      this.#told = new FacecastError({ code: message.code, detail: message.detail });
      // What cannot be interrupted is the one error that a socket outlives.
      this.#waiterFor('interrupted')?.reject(this.#told);
    }
    if (message.type === 'status') {
      this.#status = {
        status: message.session_status,
        queuedSeconds: message.queued_seconds,
        framesGenerated: message.frames_generated,
        paused: message.paused,
      };
    }
    this.#waiterFor(message.type)?.resolve(message);
    if (message.type === 'status') this.#onStatus?.(this.#status);
  }

  /** Who has waited longest for such an answer, and waits no longer. */
  #waiterFor(type: string): Waiter | undefined {
    const first = this.#waiters.findIndex((waiter) => waiter.type === type);
    return first < 0 ? undefined : this.#waiters.splice(first, 1)[0];
  }

  #closeBecause(reason: unknown): void {
    this.#isClosed = true;
    this.#reason ??= reason;
    this.#socket.close();
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw this.#reason ?? alreadyClosed();
  }
}

const CODES: Readonly<Record<number, FacecastErrorCode>> = {
  1009: 'audio_too_large',
  1011: 'internal',
  1012: 'draining',
  1013: 'not_ready',
  4400: 'invalid_parameter',
  4404: 'session_not_found',
  4409: 'session_closed',
};

/** 1005: closed without a code. */
function isPeaceful(code: number): boolean {
  return code === 1000 || code === 1005;
}

/** Why a socket was closed, where no message has said. */
function closeError(code: number, reason: string): FacecastError {
  const detail = reason || `The socket was closed with code ${code}.`;
  return new FacecastError({ code: CODES[code] ?? 'network', detail });
}

function alreadyClosed(): FacecastError {
  return new FacecastError({ code: 'socket_closed', detail: 'The socket was closed before.' });
}

function parseMessage(text: string): Message | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function bytesOf(sound: Bytes): Promise<Uint8Array<ArrayBuffer>> {
  if (sound instanceof Float32Array || sound instanceof Float64Array) {
    const detail = 'The sound is in floating-point samples; 16-bit ones are taken.';
    throw new FacecastError({ code: 'invalid_audio', detail });
  }
  if (sound instanceof Uint8Array) return sound as Uint8Array<ArrayBuffer>;
  return new Uint8Array(await blobOf(sound).arrayBuffer());
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
