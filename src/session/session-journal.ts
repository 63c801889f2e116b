import type { AvatarOptions } from '../avatar/engine.js';
import { storageError } from '../hls/storage-error.js';
import { Journal } from './journal.js';
import { type JournalEntry, type JournalReader, NOTHING_STORED, type StoredBytes } from './journal-reader.js';
import { recover, unsaid } from './recovery.js';

/** What a session was opened with. */
export interface SessionOpening {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** The pack that speaks: another one would not go on where this one stopped. */
  readonly pack: string;
  readonly live: { readonly record: boolean } | undefined;
  readonly chunkDuration: number;
  readonly audioSampleRate: number;
  readonly pictureSize: number | undefined;
  readonly avatar: AvatarOptions;
}

/** What a session has accepted, one thing after the other. */
export type Accepted =
  /** A chunk as it was fed; without `bytes` it only says that it is the last. */
  | {
      readonly kind: 'chunk';
      readonly index: number | undefined;
      readonly final: boolean;
      readonly contentType: string;
      readonly fileName: string;
    }
  /** Sound that came decoded, as 32-bit floats. */
  | { readonly kind: 'sound'; readonly sampleRate: number }
  | { readonly kind: 'end_of_utterance' }
  | { readonly kind: 'finish' }
  /** In the place of what a live talk has said already: the newest index, and number of the sound that comes next. */
  | { readonly kind: 'compacted'; readonly lastIndex: number | undefined; readonly sounds: number }
  /**
   * The talk is over, and its stream ended; with `stored`, all of the stream is on the disk for good, and what it was made of
   * is forgotten.
   */
  | { readonly kind: 'complete'; readonly stored?: true; readonly lastEventId?: number }
  /** The session has ended in state `error`. */
  | { readonly kind: 'failed'; readonly detail: string; readonly lastEventId?: number }
  /** Nothing accepted before is to be heard any more. */
  | { readonly kind: 'interrupted' }
  /** Of a live talk: before `frame`, `seconds` of sound number `sound` were heard, and all of the ones before. */
  | { readonly kind: 'shown'; readonly frame: number; readonly sound: number; readonly seconds: number };

/** Something accepted, and the sound that belongs to it, if any. */
export interface AcceptedEntry {
  readonly accepted: Accepted;
  readonly bytes: StoredBytes;
}

/** A journal that was found in a folder. */
export interface ResumedJournal {
  readonly journal: SessionJournal;
  readonly opening: SessionOpening;
  /** Their bytes can be read until `releaseEntries`, or `close`. */
  readonly entries: readonly AcceptedEntry[];
  /** Bytes behind them that hold more, but can no longer be read; the journal takes nothing then. */
  readonly damagedBytes: number;
}

const NOTHING = new Uint8Array(0);
/** 6 minutes of 24 kHz speech by WebSocket. */
const COMPACT_BYTES = 32 * 1024 * 1024;
/** By so much it grows before it is tried again where that has failed: 10 s of such speech. */
const COMPACT_AGAIN_BYTES = 1024 * 1024;

/** A session's journal: what `accept` has resolved for outlives a crash. */
export class SessionJournal {
  readonly #journal: Journal;
  /** Of what was accepted in lives before this one. */
  readonly #reader: JournalReader | undefined;
  #compacting = false;
  /** Bytes from which on compacting may be worth it: twice what was left the last time. */
  #compactAt = COMPACT_BYTES;

  private constructor(journal: Journal, reader?: JournalReader) {
    this.#journal = journal;
    this.#reader = reader;
  }

  /** @throws AppError `storage_full`, `internal` */
  static async create(directory: string, opening: SessionOpening): Promise<SessionJournal> {
    return new SessionJournal(await Journal.create(directory, { ...opening }).catch(explain));
  }

  /**
   * @returns undefined where the folder has no journal that can be read
   * @throws Error of the file system
   */
  static async resume(directory: string): Promise<ResumedJournal | undefined> {
    const resumed = await Journal.resume(directory);
    if (!resumed) return undefined;
    const [opening, ...entries] = resumed.reader.entries;
    return {
      journal: new SessionJournal(resumed.journal, resumed.reader),
      opening: opening!.words as unknown as SessionOpening,
      entries: entries.map(asAccepted),
      damagedBytes: resumed.damagedBytes,
    };
  }

  /**
   * Resolves when it is on the disk.
   * @throws AppError `storage_full`, `internal`; it is not accepted then
   */
  accept(accepted: Accepted, bytes: Uint8Array = NOTHING): Promise<void> {
    return this.#journal.append({ ...accepted }, bytes).catch(explain);
  }

  /**
   * Forgets what a live talk has said before a frame, where that has become much.
   * @param frame the first one that a crash may take away
   */
  async compact(frame: number): Promise<void> {
    if (this.#journal.length < this.#compactAt || this.#compacting) return;
    this.#compacting = true;
    try {
      await this.#journal.rewrite(([opening, ...entries]) => {
        return [opening!, ...unsaid(entries.map(asAccepted), frame).map(asEntry)];
      });
      // Where nothing has been said yet it is as long as before: not again for every second that is shown.
      this.#compactAt = Math.max(COMPACT_BYTES, 2 * this.#journal.length);
    } catch (error) {
      this.#compactAt = this.#journal.length + COMPACT_AGAIN_BYTES;
      throw error;
    } finally {
      this.#compacting = false;
    }
  }

  /**
   * Forgets what a talk was made of that is over, once its stream is on the disk for good. What is left still tells chunks
   * that are sent again.
   * @throws Error of the file system
   */
  forgetTalk(): Promise<void> {
    return this.#journal.rewrite(([opening, ...entries]) => {
      const accepted = entries.map(asAccepted);
      const { lastIndex, sounds } = recover(accepted, undefined);
      const complete = lastOf(accepted, 'complete');
      const left: Accepted[] = [
        { kind: 'compacted', lastIndex, sounds },
        { ...complete, kind: 'complete', stored: true },
      ];
      return [opening!, ...left.map((accepted) => ({ words: { ...accepted }, bytes: NOTHING_STORED }))];
    });
  }

  /** No more is read of the entries of before. */
  async releaseEntries(): Promise<void> {
    await this.#reader?.close();
  }

  /** Idempotent. Resolves when everything accepted is on the disk or has failed. */
  async close(): Promise<void> {
    await this.#journal.close();
    await this.releaseEntries();
  }
}

/** The newest of a kind. */
export function lastOf<Kind extends Accepted['kind']>(
  entries: readonly AcceptedEntry[],
  kind: Kind,
): Extract<Accepted, { readonly kind: Kind }> | undefined {
  const found = entries.findLast(({ accepted }) => accepted.kind === kind)?.accepted;
  return found as Extract<Accepted, { readonly kind: Kind }> | undefined;
}

function asAccepted({ words, bytes }: JournalEntry): AcceptedEntry {
  return { accepted: words as unknown as Accepted, bytes };
}

function asEntry({ accepted, bytes }: AcceptedEntry): JournalEntry {
  return { words: { ...accepted }, bytes };
}

function explain(cause: unknown): never {
  throw storageError(cause, 'What was sent could not be stored, so it was not taken.');
}
