import { setTimeout as sleep } from 'node:timers/promises';
import { v4 as newUuid } from 'uuid';
import { now } from '../clock.js';
import { AppError } from '../errors.js';
import { type LeftSession, leftSessions, noteActivity, removeSession, untilUnused } from '../hls/segment-store.js';
import { shuttingDown, starting } from './refusals.js';
import type { Session } from './session.js';
import { type NewSession, type OpenedSession, type OpenerOptions, SessionOpener } from './session-opener.js';

export { shuttingDown, starting } from './refusals.js';
export type { NewSession, OpenedSession } from './session-opener.js';

const LINGER_SECONDS = 3;
/** How long a killed process may take to die. */
const DYING_MILLISECONDS = 5000;
/** Whether sessions are late is told by the last ten seconds: see `LateShare`. */
const SETTLED_MILLISECONDS = 10_000;
/** Sessions that may be open for each that may be at work. */
const RESTING_PER_PLACE = 4;

export interface RegistryOptions extends OpenerOptions {
  /** Sessions that may be at work at the same time; undefined: none is taken before `admitUpTo` is called. */
  readonly maxSessions?: number | undefined;
  readonly idleMinutes: number;
}

/** All sessions of this process: looks them up, bounds their number, expires the idle, closes all. */
export class SessionRegistry {
  readonly #options: RegistryOptions;
  readonly #opener: SessionOpener;
  readonly #sessions = new Map<string, Session>();
  /** Ids of sessions that are being opened or closed: taken, but not to be found. */
  readonly #changing = new Set<string>();
  readonly #opening = new Set<Promise<OpenedSession>>();
  readonly #sweep: NodeJS.Timeout;
  #maxSessions: number | undefined;
  /** Whether none is taken while those that are there are behind. */
  #cautious = false;
  /** When a session was opened last, by `now`. */
  #openedAt = Number.NEGATIVE_INFINITY;
  /** Sessions of an earlier service that are not back yet. */
  readonly #returning = new Set<string>();
  /** It is not known yet which these are. */
  #looking = false;
  /** When a session was last wanted, as far as that is on disk, in milliseconds of `now()`. */
  readonly #noted = new Map<string, number>();
  #draining = false;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#opener = new SessionOpener(options);
    this.#maxSessions = options.maxSessions;
    const idleMilliseconds = options.idleMinutes * 60_000;
    this.#sweep = setInterval(
      () => this.#lookForIdle(idleMilliseconds),
      Math.min(30_000, Math.max(50, idleMilliseconds / 4)),
    );
    this.#sweep.unref();
  }

  /** See `RegistryOptions`. */
  get maxSessions(): number | undefined {
    return this.#maxSessions;
  }

  /**
   * Takes new sessions from now on. Sessions that came back stay, however many they are: what was accepted is not given up, and new
   * ones are refused for as long as the places are taken.
   * @param options.cautious the number was measured when nothing else was to do: where sessions are behind all the same, because
   *   the machine has become slower, no other is taken
   */
  admitUpTo(maxSessions: number, { cautious = false } = {}): void {
    this.#maxSessions = maxSessions;
    this.#cautious = cautious;
    this.#warnIfFull();
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Sessions that are there, those that are over included. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Sessions that take a place: not talks that are over, nor those that nobody feeds. */
  get busy(): number {
    const demanding = [...this.#sessions.values()].filter((session) => session.demanding).length;
    // Of those that are on their way back it is not known yet.
    return demanding + this.#opening.size + this.#returning.size;
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

  /** @throws AppError `session_not_found`; `not_ready` while it is being brought back */
  get(id: string): Session {
    const session = this.#sessions.get(id);
    if (!session && (this.#looking || this.#returning.has(id))) {
      throw new AppError('not_ready', 'The service was started anew and brings its sessions back; try again shortly.', {
        retryAfterSeconds: 1,
      });
    }
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
      this.#openedAt = now();
      this.#changing.delete(id);
    }
  }

  async #open(id: string, request: NewSession, signal: AbortSignal | undefined): Promise<OpenedSession> {
    const opened = await this.#opener.open(id, request, () => {
      if (this.#draining) throw shuttingDown();
      signal?.throwIfAborted();
    });
    this.#sessions.set(id, opened.session);
    this.#options.logger.info({ session: id, sessions: this.#sessions.size }, 'session opened');
    return opened;
  }

  /**
   * Brings back the sessions that an earlier service has left in `hlsDirectory`, those first that were used last, and removes what
   * else it left there. While it does, `get` tells those that are on their way from those that there are none of.
   * @param serving resolves when the engine opens avatars; what comes back is there to be seen before
   */
  async restore(serving: Promise<void> = Promise.resolve()): Promise<void> {
    const { hlsDirectory, idleMinutes, logger } = this.#options;
    this.#looking = true;
    const left = await leftSessions(hlsDirectory).finally(() => {
      this.#looking = false;
    });
    const isUsable = ({ journaled, idleMilliseconds }: LeftSession) =>
      journaled && idleMilliseconds <= idleMinutes * 60_000;
    const usable = left.filter(isUsable);
    for (const { id } of usable) this.#returning.add(id);
    const removed = this.#removeLeft(left.filter((each) => !isUsable(each) && !each.inUse).map(({ id }) => id));
    const order = ({ inUse, idleMilliseconds }: LeftSession) => (inUse ? Number.POSITIVE_INFINITY : idleMilliseconds);
    const goneBy = now() + DYING_MILLISECONDS;
    for (const { id } of usable.sort((one, other) => (order(one) < order(other) ? -1 : 1))) {
      if (this.#draining) break;
      await this.#bringBack(id, serving, goneBy);
    }
    await removed;
    if (this.#draining) return;
    if (usable.length > 0) {
      const facts = { sessions: usable.length, byState: this.countByState() };
      logger.info(facts, 'brought back the sessions of an earlier service');
    }
    this.#warnIfFull();
  }

  /** @param goneBy when a service that still seems to be at work there should be gone, milliseconds of `now()` */
  async #bringBack(id: string, serving: Promise<void>, goneBy: number): Promise<void> {
    const { hlsDirectory, logger } = this.#options;
    try {
      if (!(await untilUnused(hlsDirectory, id, goneBy))) throw new Error('Another service is at work in it.');
      const session = await this.#opener.reopen(id, serving);
      if (this.#draining) await session.close({ removeFiles: false });
      else this.#sessions.set(id, session);
    } catch (err) {
      logger.error({ err, session: id }, 'session could not be brought back; its folder stays as it is');
    } finally {
      this.#returning.delete(id);
    }
  }

  /** Their ids are taken until they are gone: a session that was opened in such a folder meanwhile would go with it. */
  async #removeLeft(ids: readonly string[]): Promise<void> {
    const { hlsDirectory, logger } = this.#options;
    for (const id of ids) this.#changing.add(id);
    for (const id of ids) {
      await removeSession(hlsDirectory, id).catch((err) =>
        logger.error({ err, session: id }, 'what an earlier service has left could not be removed'),
      );
      this.#changing.delete(id);
    }
    if (ids.length > 0) logger.info({ sessions: ids }, 'removed what an earlier service has left');
  }

  #warnIfFull(): void {
    const { busy } = this;
    if (this.#maxSessions === undefined || this.#returning.size > 0 || busy <= this.#maxSessions) return;
    const facts = { sessions: busy, maxSessions: this.#maxSessions };
    this.#options.logger.warn(
      facts,
      'more sessions came back than can be kept in real time; new ones are refused meanwhile',
    );
  }

  /** Ends a session and removes its files. @throws AppError `session_not_found` */
  async delete(id: string): Promise<void> {
    const session = this.get(id);
    this.#sessions.delete(id);
    this.#noted.delete(id);
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
    const sessions = [...this.#sessions.values()];
    const busy = sessions.filter((session) => !session.over);
    const timeout = new AbortController();
    const { signal } = timeout;
    const finished = Promise.allSettled([
      // None of these gets through, but each has something to take back.
      ...this.#opening,
      // A live talk has no end of its own: it goes on when the service is there again.
      ...busy.map((session) => (session.live ? session.quiet() : session.finish())),
    ]);
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
    const maxSessions = this.#maxSessions;
    if (maxSessions === undefined) throw starting();
    if (this.#sessions.has(id) || this.#changing.has(id) || this.#looking || this.#returning.has(id)) {
      throw new AppError(
        'session_exists',
        'session_id: this id is in use. Delete that session first or choose another id.',
      );
    }
    // Those that nobody feeds hold some memory all the same.
    const held = [...this.#sessions.values()].filter((session) => !session.over).length;
    if (this.busy >= maxSessions || held >= RESTING_PER_PLACE * maxSessions) {
      throw new AppError(
        'too_many_sessions',
        `There is no place for another session: this service takes ${maxSessions} at a time; delete one or try again later.`,
        { retryAfterSeconds: 10 },
      );
    }
    // Opening takes a second of a core, and others may be late meanwhile: that tells nothing of the machine.
    const telling = this.#cautious && this.#opening.size === 0 && now() - this.#openedAt > SETTLED_MILLISECONDS;
    const behind = telling ? [...this.#sessions.values()].filter((session) => session.behind).length : 0;
    if (behind > 0) {
      throw new AppError(
        'too_many_sessions',
        `The machine is slower than it was when the service started: ${behind} of the ${this.#sessions.size} sessions here are late as it is. Try again later.`,
        { retryAfterSeconds: 10 },
      );
    }
  }

  /** On disk, so that a session which is only watched does not pass for idle after a restart. */
  #noteActivity(id: string, lastActivity: number): void {
    const { hlsDirectory, logger } = this.#options;
    if ((this.#noted.get(id) ?? 0) >= lastActivity) return;
    this.#noted.set(id, lastActivity);
    noteActivity(hlsDirectory, id, Date.now() - (now() - lastActivity)).catch((err) => {
      // Deleted meanwhile, or on a disk that takes nothing just now.
      logger.debug({ err, session: id }, 'activity not noted');
    });
  }

  #lookForIdle(idleMilliseconds: number): void {
    for (const { id, lastActivity, state } of this.#sessions.values()) {
      if (state === 'processing' || now() - lastActivity < idleMilliseconds) {
        this.#noteActivity(id, lastActivity);
        continue;
      }
      this.#options.logger.info({ session: id }, 'session idle for too long');
      this.delete(id).catch((err) =>
        this.#options.logger.error({ err, session: id }, 'idle session not closed cleanly'),
      );
    }
  }
}
