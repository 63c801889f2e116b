import { AppError } from '../errors.js';
import type { Logger } from '../log.js';
import type { Session } from '../session/session.js';
import { shuttingDown } from '../session/session-registry.js';
import { type SpeechFormat, SpeechStream, type StreamedSession } from '../session/speech-stream.js';
import { closeCode, closeReason, parseWord, type SpeechReply, type SpeechWord } from './speech-messages.js';

/** What a socket of speech needs of a session. */
export type SpokenSession = StreamedSession &
  Pick<Session, 'live' | 'over' | 'error' | 'framesGenerated' | 'events' | 'touch'> & { readonly state: string };

/** What it needs of all sessions; `SessionRegistry` is one. */
export interface SpokenSessions {
  readonly draining: boolean;
  /** @throws AppError `session_not_found` */
  get(id: string): SpokenSession;
}

/** The part of a WebSocket that is needed. */
export interface MessageSocket {
  readonly bufferedAmount: number;
  readonly isPaused: boolean;
  pause(): void;
  resume(): void;
  send(text: string): void;
  ping(): void;
  close(code: number, reason: string): void;
  terminate(): void;
  on(event: 'message', listener: (data: Buffer, isBinary: boolean) => void): unknown;
  on(event: 'pong' | 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

export interface SpeechConnectionOptions {
  readonly socket: MessageSocket;
  readonly id: string;
  readonly format: SpeechFormat;
  readonly session: SpokenSession;
  readonly sessions: SpokenSessions;
  /** Seconds queued in the session above which the client is asked to wait. */
  readonly highWaterSeconds: number;
  /** Of a socket before this one, whose sound is not all in the session yet. */
  readonly after: Promise<unknown> | undefined;
  readonly pingMilliseconds: number;
  readonly statusMilliseconds: number;
  readonly logger: Logger;
}

/**
 * Bytes that wait for the session to have room, above which the socket is not read. Below, a client that was asked to wait
 * still gets its words through: an interruption is not to stand in a queue.
 */
const MAX_HELD_BYTES = 1024 * 1024;
/** A client that reads so little of what it is told is not there. */
const MAX_UNREAD_BYTES = 256 * 1024;
const LOOK_MS = 100;
const FINISHED = 'The talk is finished.';

/** One socket of speech: sound and words come in, words go out. It ends with its socket or its session. */
export class SpeechConnection {
  readonly #options: SpeechConnectionOptions;
  readonly #stream: SpeechStream;
  readonly #timers: NodeJS.Timeout[];
  readonly #unsubscribe: () => void;
  /** The sound of a socket that is gone is in the session. */
  readonly done: Promise<void>;
  #heldTimer: NodeJS.Timeout | undefined;
  /** Something was heard of the client since the last ping. */
  #alive = true;
  /** Sound came since the last status. */
  #soundCame = false;
  #interrupting = 0;
  #finishing = false;
  /** The closing handshake has begun, or the socket is gone. */
  #closing = false;

  constructor(options: SpeechConnectionOptions) {
    this.#options = options;
    const { socket, session, format, highWaterSeconds, after, logger } = options;
    this.#stream = new SpeechStream({
      session,
      format,
      highWaterSeconds,
      after,
      listener: {
        onPaused: () => this.#sendStatus(),
        onUtteranceEnded: () => this.#send({ type: 'utterance_ended' }),
        // The session tells by itself when it is over; this is for one that was before.
        onFinished: () => session.over && this.#end(),
        onFailure: (error) => (this.#isEnding ? this.#end() : this.#fail(error)),
      },
    });
    this.#unsubscribe = session.events.subscribe(({ type }) => {
      if (type === 'closed' || type === 'error') this.#end();
      // What was interrupted by others was meant by them to be everything.
      if (type === 'interrupted' && this.#interrupting === 0) this.#stream.dropHeld();
    });
    this.#timers = [
      setInterval(() => this.#tick(), options.statusMilliseconds),
      setInterval(() => this.#ping(), options.pingMilliseconds),
    ];
    this.done = new Promise((resolve) => {
      socket.on('close', () => resolve(this.#gone()));
    });
    socket.on('message', (data, isBinary) => this.#received(data, isBinary));
    socket.on('pong', () => {
      this.#alive = true;
    });
    // A message over the limit, or no WebSocket at all: `ws` closes with the code that fits.
    socket.on('error', (cause) => logger.info({ cause }, 'speech socket broken'));
    this.#send({ type: 'ready', session_id: options.id, format, audio_sample_rate: session.audioSampleRate });
    logger.info({ format }, 'speech socket opened');
  }

  /** The client is gone or going: another one may take its place. */
  get closing(): boolean {
    return this.#closing;
  }

  /** Ends the socket at once. */
  terminate(): void {
    this.#options.socket.terminate();
  }

  #received(data: Buffer, isBinary: boolean): void {
    if (this.#closing) return;
    this.#alive = true;
    try {
      if (isBinary) this.#takeSound(data);
      else this.#obey(parseWord(data.toString()));
    } catch (error) {
      this.#fail(error);
    }
    this.#readOrWait();
  }

  #takeSound(bytes: Buffer): void {
    if (this.#finishing) throw new AppError('session_closed', 'Sound came after {"type":"finish"}.');
    this.#soundCame = true;
    this.#options.session.touch();
    this.#stream.write(bytes);
  }

  #obey(word: SpeechWord): void {
    if (word === 'status') this.#sendStatus();
    if (word === 'end_of_utterance') this.#stream.endUtterance();
    if (word === 'interrupt') this.#interrupt();
    if (word === 'finish' && !this.#finishing) {
      this.#finishing = true;
      this.#stream.finish();
    }
  }

  async #interrupt(): Promise<void> {
    this.#interrupting++;
    try {
      const { droppedSeconds } = await this.#stream.interrupt();
      this.#send({ type: 'interrupted', dropped_seconds: droppedSeconds });
    } catch (error) {
      // A talk that is being finished cannot be interrupted, and goes on.
      if (this.#finishing && error instanceof AppError) this.#sendError(error);
      else this.#fail(error);
    } finally {
      this.#interrupting--;
    }
  }

  /** Reads no more while too much is held: then the client's own buffers fill, and it must wait. */
  #readOrWait(): void {
    const { socket } = this.#options;
    if (this.#closing || this.#heldTimer || this.#stream.heldBytes < MAX_HELD_BYTES) return;
    socket.pause();
    this.#heldTimer = setInterval(() => {
      if (this.#stream.heldBytes >= MAX_HELD_BYTES / 2) return;
      this.#stopWaiting();
      this.#alive = true;
      socket.resume();
    }, LOOK_MS);
  }

  #stopWaiting(): void {
    clearInterval(this.#heldTimer);
    this.#heldTimer = undefined;
  }

  #tick(): void {
    if (this.#isEnding) this.#end();
    else if (this.#soundCame || this.#stream.paused) this.#sendStatus();
  }

  #ping(): void {
    const { socket, session } = this.#options;
    // Nothing can be heard of a client that is not read.
    if (socket.isPaused) return;
    if (this.#alive) {
      this.#alive = false;
      session.touch();
      socket.ping();
    } else {
      socket.terminate();
    }
  }

  #sendStatus(): void {
    const { session } = this.#options;
    this.#soundCame = false;
    this.#send({
      type: 'status',
      session_status: session.state,
      queued_seconds: session.queuedSeconds + this.#stream.heldSeconds,
      frames_generated: session.framesGenerated,
      paused: this.#stream.paused,
    });
  }

  #sendError({ code, message }: AppError): void {
    this.#send({ type: 'error', code, detail: message });
  }

  #send(reply: SpeechReply): void {
    if (this.#closing) return;
    const { socket } = this.#options;
    if (socket.bufferedAmount > MAX_UNREAD_BYTES) socket.terminate();
    else socket.send(JSON.stringify(reply));
  }

  get #isEnding(): boolean {
    return this.#options.sessions.draining || this.#options.session.over;
  }

  /** Closes the socket because no more speech can be taken: the session is over, or the service is shutting down. */
  #end(): void {
    if (this.#closing) return;
    const reason = this.#endReason();
    if (this.#options.session.over) this.#stream.stop();
    if (reason) this.#fail(reason);
    else this.#close(1000, FINISHED);
  }

  /** undefined where the talk ended as its client wished */
  #endReason(): unknown {
    const { sessions, session, id } = this.#options;
    if (sessions.draining) return shuttingDown();
    try {
      sessions.get(id);
    } catch (error) {
      return error;
    }
    if (this.#finishing && session.error === null) return undefined;
    const ending = session.error === null ? '.' : ` with an error: ${session.error}`;
    return new AppError('session_closed', `The session has ended${ending}`);
  }

  /** Tells the client why, and closes the socket; the session goes on with what it has accepted. */
  #fail(thrown: unknown): void {
    if (this.#closing) return;
    const error = AppError.from(thrown);
    const facts = { code: error.code, cause: error.cause };
    if (error.code === 'internal') this.#options.logger.error({ ...facts, err: error }, 'speech socket failed');
    else this.#options.logger.info({ ...facts, detail: error.message }, 'speech socket closed with an error');
    this.#sendError(error);
    this.#close(closeCode(error), error.message);
  }

  #close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    const { socket } = this.#options;
    // The client's answer to the close has to be read.
    this.#stopWaiting();
    socket.resume();
    socket.close(code, closeReason(reason));
  }

  async #gone(): Promise<void> {
    this.#closing = true;
    this.#stopWaiting();
    for (const timer of this.#timers) clearInterval(timer);
    // What has arrived is still to be heard.
    await this.#stream.close();
    this.#unsubscribe();
    this.#options.logger.info({ seconds: this.#stream.acceptedSeconds }, 'speech socket closed');
  }
}
