import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { JOURNAL_NAME } from '../hls/segment-store.js';
import { HEAD_BYTES, type JournalEntry, JournalReader } from './journal-reader.js';

/** What a session was opened with, as far as it is needed to open it again. */
export type JournalOpening = Readonly<Record<string, unknown>>;

/** A journal that was found in a folder. */
export interface ReadJournal {
  readonly journal: Journal;
  readonly reader: JournalReader;
  readonly damagedBytes: number;
}

type Words = JournalEntry['words'];

const NOTHING = new Uint8Array(0);

/**
 * The list of all that a session has accepted, on disk: a file that only grows. What `append` has resolved for is there after
 * a crash of the program or of the machine; what it has not may be there or not, whole or not at all. Of what it holds only
 * a piece at a time is ever in memory, however long it is.
 */
export class Journal {
  readonly #directory: string;
  #file: FileHandle;
  /** Bytes of whole entries. */
  #length: number;
  /** Appended since the last write to the disk began, and who waits for them. */
  #waiting: Uint8Array[] = [];
  #next: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #failure: unknown;
  #closed = false;

  private constructor(directory: string, file: FileHandle, length: number) {
    this.#directory = directory;
    this.#file = file;
    this.#length = length;
  }

  /**
   * Begins a journal in a folder; its first entry is `opening`.
   * @throws Error of the file system
   */
  static async create(directory: string, opening: JournalOpening): Promise<Journal> {
    const path = join(directory, JOURNAL_NAME);
    const file = await open(`${path}.part`, 'w');
    const journal = new Journal(directory, file, 0);
    try {
      await journal.append(opening);
      await rename(`${path}.part`, path);
      await syncFolder(directory);
      return journal;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Reads a journal and goes on with it. An entry that a crash cut short is taken off. Where a whole one lies behind the first
   * that is not, the file was damaged: it is left as it is, and takes nothing more.
   * @returns the journal, and a reader of what is in it up to there, the opening first; to be closed when all that is wanted was
   *   read. `damagedBytes` are those that can no longer be read, 0 where nothing is damaged. undefined where the folder has no
   *   journal, or one that does not begin with a whole entry
   * @throws Error of the file system
   */
  static async resume(directory: string): Promise<ReadJournal | undefined> {
    const path = join(directory, JOURNAL_NAME);
    const reader = await JournalReader.open(path);
    if (!reader) return undefined;
    try {
      // A service that was killed while it rewrote the journal has left it.
      await rm(`${path}.part`, { force: true });
      if (reader.entries.length > 0) {
        const damagedBytes = await reader.damagedBytes();
        const file = await open(path, 'r+');
        const journal = new Journal(directory, file, reader.length);
        if (damagedBytes > 0) journal.#failure = damaged();
        else await journal.#cutTail();
        return { journal, reader, damagedBytes };
      }
    } catch (error) {
      await reader.close();
      throw error;
    }
    await reader.close();
    return undefined;
  }

  /** Bytes on disk. */
  get length(): number {
    return this.#length;
  }

  /**
   * Resolves when the entry is on the disk. Entries that come while others are being written go there together.
   * @throws Error of the file system, as `ENOSPC`; the entry is not in the journal then
   */
  append(words: Words, bytes: Uint8Array = NOTHING): Promise<void> {
    const text = Buffer.from(JSON.stringify(words));
    this.#waiting.push(headOf(text, bytes.byteLength, crc32(bytes, crc32(text))), text, bytes);
    if (!this.#next) {
      this.#next = this.#writing.then(() => this.#write());
      this.#writing = this.#next.catch(() => undefined);
    }
    return this.#next;
  }

  /**
   * Puts other entries in the place of all that there are, at once: a crash finds the old ones or the new ones.
   * @param change is given all entries, the opening first
   * @throws Error of the file system; the journal has the old entries then, or the new ones
   */
  rewrite(change: (entries: readonly JournalEntry[]) => readonly JournalEntry[]): Promise<void> {
    // Its folder may be on its way to be removed.
    if (this.#closed) return Promise.reject(new Error('The journal is closed.'));
    // What was appended before is in it, what is appended from now on follows.
    const rewriting = this.#writing.then(async () => {
      if (this.#failure) throw this.#failure;
      const path = join(this.#directory, JOURNAL_NAME);
      const reader = await JournalReader.open(path);
      if (!reader) throw new Error('The journal is gone.');
      try {
        if (reader.length < this.#length) throw damaged();
        await this.#replaceBy(path, change(reader.entries));
      } finally {
        await reader.close();
      }
    });
    this.#writing = rewriting.catch(() => undefined);
    return rewriting;
  }

  /** Resolves when everything appended is on the disk or has failed. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
    await this.#file.close().catch(() => undefined);
  }

  /** Takes off what is behind the last whole entry. */
  async #cutTail(): Promise<void> {
    try {
      await this.#file.truncate(this.#length);
    } catch (error) {
      await this.#file.close();
      throw error;
    }
  }

  async #replaceBy(path: string, entries: readonly JournalEntry[]): Promise<void> {
    const file = await open(`${path}.part`, 'w');
    let at = 0;
    try {
      for (const entry of entries) at += await copyEntry(file, at, entry);
      await file.datasync();
      await rename(`${path}.part`, path);
    } catch (error) {
      await file.close();
      // Where the disk is full, half a journal would keep it so.
      await rm(`${path}.part`, { force: true }).catch(() => undefined);
      throw error;
    }
    // It has the name now: what is appended from here on belongs into it, whatever fails.
    const before = this.#file;
    this.#file = file;
    this.#length = at;
    await before.close();
    await syncFolder(this.#directory);
  }

  async #write(): Promise<void> {
    const pieces = this.#waiting;
    this.#waiting = [];
    this.#next = undefined;
    if (this.#failure) throw this.#failure;
    const bytes = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
    try {
      let at = this.#length;
      for (const piece of pieces) {
        await writeWhole(this.#file, piece, at);
        at += piece.byteLength;
      }
      await this.#file.datasync();
      this.#length += bytes;
    } catch (error) {
      // What was written of it must not be there when others follow.
      await this.#file.truncate(this.#length).catch((failure) => {
        this.#failure = failure;
      });
      throw error;
    }
  }
}

function damaged(): Error {
  return new Error('The journal is damaged.');
}

function headOf(text: Uint8Array, bytes: number, checksum: number): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32LE(text.byteLength, 0);
  head.writeUInt32LE(bytes, 4);
  head.writeUInt32LE(checksum, 8);
  return head;
}

/** Writes an entry that lies in another journal. @returns bytes written */
async function copyEntry(file: FileHandle, position: number, { words, bytes }: JournalEntry): Promise<number> {
  const text = Buffer.from(JSON.stringify(words));
  let at = position + HEAD_BYTES;
  let checksum = crc32(text);
  await writeWhole(file, text, at);
  at += text.byteLength;
  for await (const piece of bytes.pieces()) {
    checksum = crc32(piece, checksum);
    await writeWhole(file, piece, at);
    at += piece.byteLength;
  }
  await writeWhole(file, headOf(text, bytes.length, checksum), position);
  return at - position;
}

async function writeWhole(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}

/** A new name is on the disk only when its folder is. */
async function syncFolder(directory: string): Promise<void> {
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
