import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { v4 as newUuid } from 'uuid';
import { AudioChunkBuffer } from '../audio/audio-chunk-buffer.js';
import { type Avatar, type AvatarEngine, type AvatarOptions, MOST_REWOUND_FRAMES } from '../avatar/engine.js';
import { decodePortrait } from '../avatar/portrait.js';
import { AppError } from '../errors.js';
import { HlsStream } from '../hls/hls-stream.js';
import type { Logger } from '../log.js';
import type { Instruments, SessionKind } from '../metrics/instruments.js';
import { DurableAvatar } from './durable-avatar.js';
import { FedTalk } from './fed-talk.js';
import { LiveTalk } from './live-talk.js';
import { MeasuredAvatar } from './measured-avatar.js';
import { Session } from './session.js';
import { SessionJournal, type SessionOpening } from './session-journal.js';
import { SpeechInput } from './speech-input.js';
import type { Talk } from './talk.js';

/** One IDR frame, and so one segment, every second. */
const SEGMENT_SECONDS = 1;
/** The portrait of a session, as it was uploaded, in the session's folder. */
const PORTRAIT_NAME = 'portrait';
/** Segments of a live stream that its playlist lists. */
const LIVE_WINDOW_SEGMENTS = 7;
const LINGER_SECONDS = 3;

export interface RegistryOptions {
  readonly engine: AvatarEngine;
  readonly hlsDirectory: string;
  readonly maxSessions: number;
  readonly maxQueuedSeconds: number;
  readonly idleMinutes: number;
  /** Length of a part, whole frames. */
  readonly partMilliseconds: number;
  readonly logger: Logger;
  readonly instruments?: Instruments | undefined;
}

export interface NewSession {
  /** The caller's own id, checked by the HTTP layer; undefined for a fresh UUID. */
  readonly id: string | undefined;
  /** The portrait's file, as uploaded. */
  readonly image: Buffer;
  readonly avatar: AvatarOptions;
  /** Frames come by the clock, and the stream is kept whole if `record`; undefined: they come by what is fed. */
  readonly live: { readonly record: boolean } | undefined;
  /** Inference window in seconds, 0.1..10; 0.2..2 where it is live. */
  readonly chunkDuration: number;
  /** Hz of headerless PCM. */
  readonly audioSampleRate: number;
  /** Larger side of the picture that viewers get, pixels, even; undefined for the model's own. */
  readonly pictureSize: number | undefined;
}

export interface OpenedSession {
  readonly session: Session;
  /** What was assumed about the portrait, in words for the caller. */
  readonly warnings: readonly string[];
}

/** All sessions of this process: looks them up, bounds their number, expires the idle, closes all. */
export class SessionRegistry {
  readonly #options: RegistryOptions;
  readonly #sessions = new Map<string, Session>();
  /** Ids of sessions that are being opened or closed: taken, but not to be found. */
  readonly #changing = new Set<string>();
  readonly #opening = new Set<Promise<OpenedSession>>();
  readonly #sweep: NodeJS.Timeout;
  #draining = false;

  constructor(options: RegistryOptions) {
    this.#options = options;
    const idleMilliseconds = options.idleMinutes * 60_000;
    this.#sweep = setInterval(
      () => this.#expire(idleMilliseconds),
      Math.min(30_000, Math.max(50, idleMilliseconds / 4)),
    );
    this.#sweep.unref();
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Sessions that are there, those that are over included. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Sessions that take a place: a talk that is over holds files, but neither a model nor an encoder. */
  get busy(): number {
    return [...this.#sessions.values()].filter((session) => !session.over).length + this.#opening.size;
  }

  /** Those that are there, in no order. */
  all(): Iterable<Session> {
    return this.#sessions.values();
  }

  /** Sessions by state, for `/health`. */
  countByState(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { state } of this.#sessions.values()) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  }

  /** @throws AppError `session_not_found` */
  get(id: string): Session {
    const session = this.#sessions.get(id);
    if (!session) {
      throw new AppError(
        'session_not_found',
        'session_id: there is no such session; it may have been deleted or expired.',
      );
    }
    return session;
  }

  /**
   * @param signal gives up a session whose caller has gone: nobody would know its id.
   * @throws AppError `session_exists`, `too_many_sessions`, `draining`, `not_ready`, `invalid_image`,
   *   `image_too_large`, `face_not_found`; the signal's reason
   */
  async open(request: NewSession, signal?: AbortSignal): Promise<OpenedSession> {
    try {
      return await this.#admitAndOpen(request, signal);
    } catch (error) {
      // A caller who has left was refused nothing.
      if (!signal?.aborted) this.#options.instruments?.sessionsRefused.inc({ code: AppError.from(error).code });
      throw error;
    }
  }

  async #admitAndOpen(request: NewSession, signal: AbortSignal | undefined): Promise<OpenedSession> {
    const { id = newUuid() } = request;
    this.#admit(id);
    this.#changing.add(id);
    const opening = this.#open(id, request, signal);
    this.#opening.add(opening);
    try {
      return await opening;
    } finally {
      this.#opening.delete(opening);
      this.#changing.delete(id);
    }
  }

  async #open(id: string, request: NewSession, signal: AbortSignal | undefined): Promise<OpenedSession> {
    const { engine, hlsDirectory, partMilliseconds } = this.#options;
    const { fps, width, height } = engine.description;
    const { live } = request;
    const logger = this.#options.logger.child({ session: id });
    const undo: (() => unknown)[] = [];
    try {
      const directory = join(hlsDirectory, id);
      let image: Buffer | undefined = request.image;
      const avatar = await DurableAvatar.open({
        engine,
        portrait: async () => decodePortrait(image ?? (await readFile(join(directory, PORTRAIT_NAME)))),
        avatar: request.avatar,
        logger,
      });
      undo.push(() => avatar.close());
      const kind: SessionKind = live ? 'live' : 'fed';
      const { instruments } = this.#options;
      let session: Session | undefined;
      const stream = await HlsStream.open({
        directory,
        width,
        height,
        picture: scaled(width, height, request.pictureSize),
        fps,
        segmentFrames: fps * SEGMENT_SECONDS,
        partFrames: Math.round((fps * partMilliseconds) / 1000),
        live: live && { windowSegments: LIVE_WINDOW_SEGMENTS, record: live.record },
        edition: randomBytes(4).toString('hex'),
        ...{ logger, instruments },
        onError: (error) => session?.fail(error),
      });
      undo.push(() => stream.close({ removeFiles: true }));
      await writeFile(join(directory, PORTRAIT_NAME), request.image, { flush: true });
      image = undefined;
      const { audioSampleRate } = request;
      const opening: SessionOpening = {
        ...{ id, live, audioSampleRate, createdAt: Date.now(), pack: engine.description.pack },
        ...{ chunkDuration: request.chunkDuration, pictureSize: request.pictureSize, avatar: request.avatar },
      };
      const journal = await SessionJournal.create(directory, opening);
      undo.push(() => journal.close());
      // All this took a while.
      if (this.#draining) throw shuttingDown();
      signal?.throwIfAborted();
      const talk = this.#talk(request, instruments ? new MeasuredAvatar(avatar, instruments, kind) : avatar, stream);
      session = new Session({
        ...{ id, avatar, stream, talk, journal, fps, audioSampleRate, logger, instruments },
        ...{ live: live !== undefined, createdAt: opening.createdAt },
      });
      if (session.over) {
        throw new AppError('not_ready', 'The inference worker of the new session died; try again shortly.', {
          retryAfterSeconds: 2,
        });
      }
      this.#sessions.set(id, session);
      instruments?.sessionsOpened.inc({ kind });
      session.events.subscribe(({ type }) => type === 'error' && instruments?.sessionsFailed.inc({ kind }));
      logger.info({ sessions: this.#sessions.size }, 'session opened');
      return { session, warnings: avatar.warnings };
    } catch (error) {
      for (const step of undo.reverse()) await step();
      throw error;
    }
  }

  #talk({ live, chunkDuration }: NewSession, avatar: Avatar, stream: HlsStream): Talk {
    const { maxQueuedSeconds } = this.#options;
    const { contextFrames, batchFrames } = this.#options.engine.description;
    const windows = { chunkDurationSeconds: chunkDuration, contextFrames };
    if (!live) {
      const input = new SpeechInput(windows);
      return new FedTalk({ avatar, input, stream, framesAhead: batchFrames, maxQueuedSeconds });
    }
    const liveWindows = new AudioChunkBuffer({ ...windows, liveFrames: MOST_REWOUND_FRAMES });
    const { instruments } = this.#options;
    return new LiveTalk({ avatar, windows: liveWindows, stream, maxQueuedSeconds, instruments });
  }

  /** Ends a session and removes its files. @throws AppError `session_not_found` */
  async delete(id: string): Promise<void> {
    const session = this.get(id);
    this.#sessions.delete(id);
    this.#changing.add(id);
    try {
      await session.close({ removeFiles: true });
    } finally {
      this.#changing.delete(id);
    }
    this.#options.logger.info({ session: id, sessions: this.#sessions.size }, 'session closed');
  }

  /**
   * Stops taking anything new, plays out what every session has accepted, and closes all; what is not finished after
   * `seconds` is cut off.
   */
  async drain(seconds: number): Promise<void> {
    this.#draining = true;
    clearInterval(this.#sweep);
    await Promise.allSettled(this.#opening);
    const sessions = [...this.#sessions.values()];
    const busy = sessions.filter((session) => !session.over);
    const timeout = new AbortController();
    const { signal } = timeout;
    const finished = Promise.allSettled(busy.map((session) => session.finish()));
    await Promise.race([
      // Viewers get a moment to fetch the ends of their talks.
      finished.then(() => sleep(busy.length > 0 ? LINGER_SECONDS * 1000 : 0, undefined, { signal })),
      sleep(seconds * 1000, undefined, { signal }),
    ]);
    timeout.abort();
    await Promise.allSettled(sessions.map((session) => session.close({ removeFiles: false })));
    this.#sessions.clear();
  }

  #admit(id: string): void {
    if (this.#draining) throw shuttingDown();
    if (this.#sessions.has(id) || this.#changing.has(id)) {
      throw new AppError(
        'session_exists',
        'session_id: this id is in use. Delete that session first or choose another id.',
      );
    }
    const { maxSessions } = this.#options;
    if (this.busy >= maxSessions) {
      throw new AppError(
        'too_many_sessions',
        `All ${maxSessions} sessions are in use; delete one or try again later.`,
        {
          retryAfterSeconds: 10,
        },
      );
    }
  }

  #expire(idleMilliseconds: number): void {
    const now = Date.now();
    for (const { id, lastActivity, state } of this.#sessions.values()) {
      if (state === 'processing' || now - lastActivity < idleMilliseconds) continue;
      this.#options.logger.info({ session: id }, 'session idle for too long');
      this.delete(id).catch((err) =>
        this.#options.logger.error({ err, session: id }, 'idle session not closed cleanly'),
      );
    }
  }
}

/** A frame's size, brought to `size` pixels at its larger side; both sides even. */
function scaled(width: number, height: number, size = Math.max(width, height)): { width: number; height: number } {
  const scale = size / Math.max(width, height);
  const even = (side: number) => 2 * Math.round((side * scale) / 2);
  return { width: even(width), height: even(height) };
}

/** The answer to everything new while the service drains. */
export function shuttingDown(): AppError {
  return new AppError('draining', 'The service is shutting down.', { retryAfterSeconds: 10 });
}
