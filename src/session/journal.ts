import { type FileHandle, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { JOURNAL_NAME } from '../hls/segment-store.js';

/** What a session was opened with, as far as it is needed to open it again. */
export type JournalOpening = Readonly<Record<string, unknown>>;

/** Something that a session has accepted, in words, and the bytes that belong to it. */
export interface JournalEntry<Words = Readonly<Record<string, unknown>>> {
  readonly words: Words;
  readonly bytes: Uint8Array;
}

/** Before each entry: length of its words (JSON, UTF-8), length of its bytes, and the CRC-32 of both. */
const HEAD_BYTES = 12;
const NOTHING = new Uint8Array(0);

/**
 * The list of all that a session has accepted, on disk: a file that only grows. What `append` has resolved for is there after
 * a crash of the program or of the machine; what it has not may be there or not, whole or not at all.
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
   * Reads a journal and goes on with it. An entry that a crash cut short is taken off.
   * @returns all entries, the opening first; none where the folder has no journal
   * @throws Error of the file system
   */
  static async resume(directory: string): Promise<{ journal: Journal; entries: JournalEntry[] } | undefined> {
    const path = join(directory, JOURNAL_NAME);
    const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (!content) return undefined;
    const { entries, length } = parseJournal(content);
    if (entries.length === 0) return undefined;
    const file = await open(path, 'r+');
    await file.truncate(length);
    return { journal: new Journal(directory, file, length), entries };
  }

  /** Bytes on disk. */
  get length(): number {
    return this.#length;
  }

  /**
   * Resolves when the entry is on the disk. Entries that come while others are being written go there together.
   * @throws Error of the file system, as `ENOSPC`; the entry is not in the journal then
   */
  append(words: JournalEntry['words'], bytes: Uint8Array = NOTHING): Promise<void> {
    this.#waiting.push(...encode(words, bytes));
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
  rewrite(change: (entries: JournalEntry[]) => readonly JournalEntry[]): Promise<void> {
    // What was appended before is in it, what is appended from now on follows.
    const rewriting = this.#writing.then(async () => {
      if (this.#failure) throw this.#failure;
      const path = join(this.#directory, JOURNAL_NAME);
      const pieces = change(parseJournal(await readFile(path)).entries).flatMap(({ words, bytes }) =>
        encode(words, bytes),
      );
      const file = await open(`${path}.part`, 'w');
      let at = 0;
      try {
        for (const piece of pieces) {
          await writeWhole(file, piece, at);
          at += piece.byteLength;
        }
        await file.datasync();
        await rename(`${path}.part`, path);
      } catch (error) {
        await file.close();
        throw error;
      }
      // It has the name now: what is appended from here on belongs into it, whatever fails.
      const before = this.#file;
      this.#file = file;
      this.#length = at;
      await before.close();
      await syncFolder(this.#directory);
    });
    this.#writing = rewriting.catch(() => undefined);
    return rewriting;
  }

  /** Resolves when everything appended is on the disk or has failed. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#file.close().catch(() => undefined);
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

/** @returns the whole entries at the beginning, and how many bytes they take */
export function parseJournal(content: Buffer): { entries: JournalEntry[]; length: number } {
  const entries: JournalEntry[] = [];
  let at = 0;
  while (at + HEAD_BYTES <= content.length) {
    const wordsLength = content.readUInt32LE(at);
    // No entry is without words, but zeros have the checksum of nothing: a file system may leave them behind after a power failure.
    if (wordsLength === 0) break;
    const end = at + HEAD_BYTES + wordsLength + content.readUInt32LE(at + 4);
    if (end > content.length) break;
    const body = content.subarray(at + HEAD_BYTES, end);
    if (crc32(body) !== content.readUInt32LE(at + 8)) break;
    const words = JSON.parse(body.toString('utf8', 0, wordsLength));
    entries.push({ words, bytes: body.subarray(wordsLength) });
    at = end;
  }
  return { entries, length: at };
}

function encode(words: JournalEntry['words'], bytes: Uint8Array): Uint8Array[] {
  const text = Buffer.from(JSON.stringify(words));
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32LE(text.length, 0);
  head.writeUInt32LE(bytes.byteLength, 4);
  head.writeUInt32LE(crc32(bytes, crc32(text)), 8);
  return [head, text, bytes];
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
