import type { AvatarOptions } from '../avatar/engine.js';
import { storageError } from '../hls/storage-error.js';
import { Journal, type JournalEntry } from './journal.js';
import { unsaid } from './recovery.js';

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
  /** The talk is over, and its stream ended. */
  | { readonly kind: 'complete' }
  /** The session has ended in state `error`. */
  | { readonly kind: 'failed'; readonly detail: string }
  /** Nothing accepted before is to be heard any more. */
  | { readonly kind: 'interrupted' }
  /** Of a live talk: before `frame`, `seconds` of sound number `sound` were heard, and all of the ones before. */
  | { readonly kind: 'shown'; readonly frame: number; readonly sound: number; readonly seconds: number };

/** Something accepted, and the sound that belongs to it, if any. */
export interface AcceptedEntry {
  readonly accepted: Accepted;
  readonly bytes: Buffer;
}

const NOTHING = Buffer.alloc(0);
/** 6 minutes of 24 kHz speech by WebSocket. */
const COMPACT_BYTES = 32 * 1024 * 1024;

/** A session's journal: what `accept` has resolved for outlives a crash. */
export class SessionJournal {
  readonly #journal: Journal;
  #compacting = false;
  /** Bytes from which on compacting may be worth it: twice what was left the last time. */
  #compactAt = COMPACT_BYTES;

  private constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** @throws AppError `storage_full`, `internal` */
  static async create(directory: string, opening: SessionOpening): Promise<SessionJournal> {
    return new SessionJournal(await Journal.create(directory, { ...opening }).catch(explain));
  }

  /** @returns undefined where the folder has no journal that can be read */
  static async resume(
    directory: string,
  ): Promise<{ journal: SessionJournal; opening: SessionOpening; entries: AcceptedEntry[] } | undefined> {
    const resumed = await Journal.resume(directory);
    if (!resumed) return undefined;
    const [opening, ...entries] = resumed.entries;
    return {
      journal: new SessionJournal(resumed.journal),
      opening: opening!.words as unknown as SessionOpening,
      entries: entries.map(asAccepted),
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
    } finally {
      // Also where it failed, or where nothing has been said yet: not again for every second that is shown.
      this.#compactAt = Math.max(COMPACT_BYTES, 2 * this.#journal.length);
      this.#compacting = false;
    }
  }

  close(): Promise<void> {
    return this.#journal.close();
  }
}

function asAccepted({ words, bytes }: JournalEntry): AcceptedEntry {
  return {
    accepted: words as unknown as Accepted,
    bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  };
}

function asEntry({ accepted, bytes }: AcceptedEntry): JournalEntry {
  return { words: { ...accepted }, bytes };
}

function explain(cause: unknown): never {
  throw storageError(cause, 'What was sent could not be stored, so it was not taken.');
}
