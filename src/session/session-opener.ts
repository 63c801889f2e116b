import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AudioChunkBuffer } from '../audio/audio-chunk-buffer.js';
import { type Avatar, type AvatarEngine, type AvatarOptions, MOST_REWOUND_FRAMES } from '../avatar/engine.js';
import { decodePortrait } from '../avatar/portrait.js';
import { AppError } from '../errors.js';
import { HlsStream, type HlsStreamOptions } from '../hls/hls-stream.js';
import { storageError } from '../hls/storage-error.js';
import type { Logger } from '../log.js';
import type { Instruments, SessionKind } from '../metrics/instruments.js';
import { DurableAvatar } from './durable-avatar.js';
import { EndedTalk } from './ended-talk.js';
import { FedTalk } from './fed-talk.js';
import { LiveTalk } from './live-talk.js';
import { MeasuredAvatar } from './measured-avatar.js';
import { recover } from './recovery.js';
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
      const portrait = async () => decodePortrait(uploaded ?? (await readFile(join(directory, PORTRAIT_NAME))));
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
   * Brings a session back that is in its folder: same id, same URLs, and all that it had accepted.
   * @returns undefined where the folder holds none
   * @throws AppError as `open` does; Error when another model would speak, or another service is at work there
   */
  async reopen(id: string): Promise<Session | undefined> {
    const { engine } = this.#options;
    const directory = this.#directory(id);
    const resumed = await SessionJournal.resume(directory);
    if (!resumed) return undefined;
    const { journal, opening, entries, release } = resumed;
    const logger = this.#options.logger.child({ session: id });
    const undo: (() => unknown)[] = [() => journal.close(), release];
    try {
      if (opening.id !== id) throw new Error(`The folder ${id} holds the session ${opening.id}.`);
      if (opening.pack !== engine.description.pack) throw new Error(`The session was spoken by ${opening.pack}.`);
      let session: Session | undefined;
      const stream = await HlsStream.resume(this.#streamOptions(opening, logger, (error) => session?.fail(error)));
      undo.push(() => stream.close({ removeFiles: false }));
      if (stream.finished) {
        const failed = entries.find(({ accepted }) => accepted.kind === 'failed')?.accepted;
        const failure = failed?.kind === 'failed' ? new AppError('internal', failed.detail) : undefined;
        const talk = new EndedTalk(stream.firstFrame, failure);
        session = this.#session(opening, { avatar: undefined, stream, talk, journal, logger });
        // A chunk that is sent again, because its answer was lost, is known.
        if (!failure) await session.replay({ ...recover(entries, undefined), retaken: [] });
        await release();
        return session;
      }
      const portrait = async () => decodePortrait(await readFile(join(directory, PORTRAIT_NAME)));
      const avatar = await DurableAvatar.open({ ...this.#options, portrait, avatar: opening.avatar, logger });
      undo.push(() => avatar.close());
      const talk = this.#talk(opening, avatar, stream);
      session = this.#session(opening, { avatar, stream, talk, journal, logger });
      const recovery = recover(entries, opening.live && stream.firstFrame, stream.soundBeyondSeconds);
      session
        .replay(recovery)
        .catch((error) => session?.fail(error))
        .finally(release)
        .catch((err) => logger.warn({ err }, 'journal not closed cleanly'));
      logger.info({ frame: stream.firstFrame, accepted: recovery.retaken.length }, 'session brought back');
      return session;
    } catch (error) {
      await takeBack(undo, logger);
      throw error;
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
      readonly journal: SessionJournal;
      readonly logger: Logger;
    },
  ): Session {
    const { engine, instruments } = this.#options;
    const { id, live, createdAt, audioSampleRate } = opening;
    const session = new Session({
      ...{ ...parts, id, createdAt, audioSampleRate, instruments },
      ...{ live: live !== undefined, fps: engine.description.fps },
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
