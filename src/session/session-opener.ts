import { randomBytes } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AudioChunkBuffer } from '../audio/audio-chunk-buffer.js';
import { type Avatar, type AvatarEngine, type AvatarOptions, MOST_REWOUND_FRAMES } from '../avatar/engine.js';
import type { RgbImage } from '../avatar/image.js';
import { decodePortrait } from '../avatar/portrait.js';
import { AppError } from '../errors.js';
import { HlsStream, type HlsStreamOptions } from '../hls/hls-stream.js';
import { syncFolderAndFiles } from '../hls/segment-store.js';
import { storageError } from '../hls/storage-error.js';
import type { Logger } from '../log.js';
import type { Instruments, SessionKind } from '../metrics/instruments.js';
import { DurableAvatar } from './durable-avatar.js';
import { EndedTalk } from './ended-talk.js';
import { FedTalk } from './fed-talk.js';
import { LiveTalk } from './live-talk.js';
import { MeasuredAvatar } from './measured-avatar.js';
import { recover } from './recovery.js';
import { Session, type SessionParts } from './session.js';
import { lastOf, type ResumedJournal, SessionJournal, type SessionOpening } from './session-journal.js';
import { SpeechInput } from './speech-input.js';
import type { Talk } from './talk.js';

/** One IDR frame, and so one segment, every second. */
const SEGMENT_SECONDS = 1;
/** The portrait of a session, as it was uploaded, in the session's folder. */
const PORTRAIT_NAME = 'portrait';
/** Segments of a live stream that its playlist lists. */
const LIVE_WINDOW_SEGMENTS = 7;

export interface OpenerOptions {
  readonly engine: AvatarEngine;
  readonly hlsDirectory: string;
  readonly maxQueuedSeconds: number;
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

/** Puts sessions together, new ones and those that a service which is gone has left in their folders. */
export class SessionOpener {
  readonly #options: OpenerOptions;

  constructor(options: OpenerOptions) {
    this.#options = options;
  }

  /**
   * @param check called when all is there, which took a while; what it throws gives the session up
   * @throws AppError `not_ready`, `invalid_image`, `image_too_large`, `face_not_found`, `storage_full`, `internal`
   */
  async open(id: string, request: NewSession, check: () => void): Promise<OpenedSession> {
    const { image, live, chunkDuration, audioSampleRate, pictureSize } = request;
    const opening: SessionOpening = {
      ...{ id, live, chunkDuration, audioSampleRate, pictureSize, avatar: request.avatar },
      ...{ createdAt: Date.now(), pack: this.#options.engine.description.pack },
    };
    const directory = this.#directory(id);
    const logger = this.#options.logger.child({ session: id });
    const undo: (() => unknown)[] = [];
    try {
      let uploaded: Buffer | undefined = image;
      const portrait = async () => (uploaded ? decodePortrait(uploaded) : this.#readPortrait(directory));
      const avatar = await DurableAvatar.open({ ...this.#options, portrait, avatar: request.avatar, logger });
      undo.push(() => avatar.close());
      let session: Session | undefined;
      const stream = await HlsStream.open(this.#streamOptions(opening, logger, (error) => session?.fail(error)));
      undo.push(() => stream.close({ removeFiles: true }));
      await writeFile(join(directory, PORTRAIT_NAME), image, { flush: true }).catch((cause) => {
        throw storageError(cause, 'The portrait could not be stored.');
      });
      uploaded = undefined;
      const journal = await SessionJournal.create(directory, opening);
      undo.push(() => journal.close());
      check();
      const talk = this.#talk(opening, avatar, stream);
      session = this.#session(opening, { avatar, stream, talk, journal, logger });
      if (session.over) {
        throw new AppError('not_ready', 'The inference worker of the new session died; try again shortly.', {
          retryAfterSeconds: 2,
        });
      }
      this.#options.instruments?.sessionsOpened.inc({ kind: kindOf(opening) });
      return { session, warnings: avatar.warnings };
    } catch (error) {
      await takeBack(undo, logger);
      throw error;
    }
  }

  /**
   * Brings a session back that is in its folder: same id, same URLs, and all that it had accepted. One that cannot go on comes back
   * in state `error`, with the reason, and what can be seen of it; its folder is left as it is.
   * @param serving resolves when avatars are opened; nothing that was accepted is taken in again before
   * @throws Error when another service is at work in the folder, or it cannot be read at all
   */
  async reopen(id: string, serving: Promise<void>): Promise<Session> {
    const directory = this.#directory(id);
    const logger = this.#options.logger.child({ session: id });
    let resumed: ResumedJournal | undefined;
    try {
      resumed = await SessionJournal.resume(directory);
      if (!resumed) throw new AppError('internal', 'What the session was opened with can no longer be read.');
      const { opening, entries, damagedBytes } = resumed;
      const failed = lastOf(entries, 'failed');
      if (failed) return await this.#showEnded(id, resumed, new AppError('internal', failed.detail), logger);
      const complete = lastOf(entries, 'complete');
      if (complete?.stored) return await this.#showEnded(id, resumed, undefined, logger);
      this.#assertOurs(id, opening);
      if (damagedBytes > 0) {
        const lost = `The journal is damaged: ${damagedBytes} bytes of what the session accepted can no longer be read.`;
        throw new AppError('internal', lost);
      }
      return await this.#goOn(resumed, serving, logger);
    } catch (error) {
      await takeBack([() => resumed?.journal.close()], logger);
      const reason = AppError.from(error);
      logger.error({ err: reason, cause: reason.cause }, 'session cannot go on, and comes back as failed');
      return this.#showEnded(id, resumed, reason, logger);
    }
  }

  /** @throws AppError for a session that this service cannot go on with */
  #assertOurs(id: string, opening: SessionOpening): void {
    const { pack } = this.#options.engine.description;
    if (opening.id !== id)
      throw new AppError('internal', `The folder of this session holds another one, ${opening.id}.`);
    if (opening.pack === pack) return;
    throw new AppError(
      'internal',
      `The session was spoken by the model pack ${opening.pack}, and ${pack} is at work now.`,
    );
  }

  /** A session that is over: there is only its stream. */
  async #showEnded(
    id: string,
    resumed: ResumedJournal | undefined,
    failure: AppError | undefined,
    logger: Logger,
  ): Promise<Session> {
    const { entries = [] } = resumed ?? {};
    const opening = { ...(resumed?.opening ?? unknownOpening()), id };
    await resumed?.journal.close();
    const stream = await HlsStream.resumeEnded(
      this.#streamOptions(opening, logger, () => undefined),
      failure,
    );
    const talk = new EndedTalk(stream.firstFrame);
    const told = (lastOf(entries, 'complete') ?? lastOf(entries, 'failed'))?.lastEventId;
    // The last event is told once more, under the id that it had.
    const lastEventId = told === undefined ? Date.now() : told - 1;
    const gone = { avatar: undefined, journal: undefined };
    const session = this.#session(opening, { ...gone, stream, talk, logger, ended: { failure }, lastEventId });
    // A chunk that is sent again, because its answer was lost, is known.
    await session.replay({ ...recover(entries, undefined), retaken: [] });
    return session;
  }

  async #goOn(resumed: ResumedJournal, serving: Promise<void>, logger: Logger): Promise<Session> {
    const { journal, opening, entries } = resumed;
    const directory = this.#directory(opening.id);
    const undo: (() => unknown)[] = [];
    try {
      let session: Session | undefined;
      const stream = await HlsStream.resume(this.#streamOptions(opening, logger, (error) => session?.fail(error)));
      undo.push(() => stream.close({ removeFiles: false }));
      if (stream.finished) {
        await stream.close({ removeFiles: false });
        // It was killed before it had forgotten what it was made of.
        await this.#forgetTalk(directory, journal, logger);
        return await this.#showEnded(opening.id, resumed, undefined, logger);
      }
      const portrait = () => this.#readPortrait(directory);
      const avatar = DurableAvatar.reopen({ ...this.#options, portrait, avatar: opening.avatar, logger }, serving);
      undo.push(() => avatar.close());
      const talk = this.#talk(opening, avatar, stream);
      // Ids of events grow with the time that has passed, so those of this life are beyond all of the lives before.
      session = this.#session(opening, { avatar, stream, talk, journal, logger, lastEventId: Date.now() });
      const recovery = recover(entries, opening.live && stream.firstFrame, stream.soundBeyondSeconds);
      session
        .replay(recovery, serving)
        .catch((error) => session?.fail(error))
        .finally(() => journal.releaseEntries())
        .catch((err) => logger.warn({ err }, 'journal not closed cleanly'));
      logger.info({ frame: stream.firstFrame, accepted: recovery.retaken.length }, 'session brought back');
      return session;
    } catch (error) {
      await takeBack(undo, logger);
      throw error;
    }
  }

  async #readPortrait(directory: string): Promise<RgbImage> {
    try {
      return await decodePortrait(await readFile(join(directory, PORTRAIT_NAME)));
    } catch (cause) {
      throw new AppError('internal', 'The portrait of the session can no longer be read.', { cause });
    }
  }

  /** A talk that is complete is only its stream from now on: its speech and its portrait are not kept. */
  async #forgetTalk(directory: string, journal: SessionJournal, logger: Logger): Promise<void> {
    try {
      await syncFolderAndFiles(directory);
      await journal.forgetTalk();
      await rm(join(directory, PORTRAIT_NAME), { force: true });
    } catch (err) {
      logger.warn({ err }, 'speech of a complete talk not removed');
    }
  }

  #directory(id: string): string {
    return join(this.#options.hlsDirectory, id);
  }

  #session(
    opening: SessionOpening,
    parts: {
      readonly avatar: Avatar | undefined;
      readonly stream: HlsStream;
      readonly talk: Talk;
      readonly journal: SessionJournal | undefined;
      readonly logger: Logger;
      readonly ended?: SessionParts['ended'];
      readonly lastEventId?: number;
    },
  ): Session {
    const { engine, instruments } = this.#options;
    const { id, live, createdAt, audioSampleRate } = opening;
    const { journal, logger } = parts;
    const session = new Session({
      ...{ ...parts, id, createdAt, audioSampleRate, instruments },
      ...{ live: live !== undefined, fps: engine.description.fps },
      onComplete: async () => journal && this.#forgetTalk(this.#directory(id), journal, logger),
    });
    const kind = kindOf(opening);
    session.events.subscribe(({ type }) => type === 'error' && instruments?.sessionsFailed.inc({ kind }));
    return session;
  }

  #streamOptions(
    { id, live, pictureSize }: SessionOpening,
    logger: Logger,
    onError: (error: AppError) => void,
  ): HlsStreamOptions {
    const { engine, partMilliseconds, instruments } = this.#options;
    const { fps, width, height } = engine.description;
    return {
      ...{ directory: this.#directory(id), width, height, fps, picture: scaled(width, height, pictureSize) },
      segmentFrames: fps * SEGMENT_SECONDS,
      partFrames: Math.round((fps * partMilliseconds) / 1000),
      live: live && { windowSegments: LIVE_WINDOW_SEGMENTS, record: live.record },
      edition: randomBytes(4).toString('hex'),
      ...{ logger, instruments, onError },
    };
  }

  /** What makes the session's frames, from the first one on that the stream does not have. */
  #talk(opening: SessionOpening, avatar: Avatar, stream: HlsStream): Talk {
    const { engine, maxQueuedSeconds, instruments } = this.#options;
    const { contextFrames, batchFrames } = engine.description;
    const { firstFrame: startFrame } = stream;
    const maker = instruments ? new MeasuredAvatar(avatar, instruments, kindOf(opening)) : avatar;
    const windows = { chunkDurationSeconds: opening.chunkDuration, contextFrames };
    if (!opening.live) {
      const input = new SpeechInput(windows);
      return new FedTalk({ avatar: maker, input, stream, framesAhead: batchFrames, maxQueuedSeconds, startFrame });
    }
    const live = new AudioChunkBuffer({ ...windows, liveFrames: MOST_REWOUND_FRAMES, startFrame });
    return new LiveTalk({ avatar: maker, windows: live, stream, maxQueuedSeconds, instruments, startFrame });
  }
}

/** What can be said of a session whose opening is lost. */
function unknownOpening(): Omit<SessionOpening, 'id'> {
  const avatar = { crop: true, seed: 0, nfe: 5, cfgScale: 1 };
  const speech = { chunkDuration: 1, audioSampleRate: 16_000, pictureSize: undefined };
  return { createdAt: Date.now(), pack: '', live: undefined, ...speech, avatar };
}

function kindOf({ live }: SessionOpening): SessionKind {
  return live ? 'live' : 'fed';
}

/** A frame's size, brought to `size` pixels at its larger side; both sides even. */
function scaled(width: number, height: number, size = Math.max(width, height)): { width: number; height: number } {
  const scale = size / Math.max(width, height);
  const even = (side: number) => 2 * Math.round((side * scale) / 2);
  return { width: even(width), height: even(height) };
}

/** Undoes what was done, last first; a step that fails keeps none of the others from being taken. */
async function takeBack(steps: readonly (() => unknown)[], logger: Logger): Promise<void> {
  for (const step of [...steps].reverse()) {
    try {
      await step();
    } catch (err) {
      logger.warn({ err }, 'not undone cleanly');
    }
  }
}
