import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

/** Before each entry: length of its words (JSON, UTF-8), length of its bytes, and the CRC-32 of both. */
export const HEAD_BYTES = 12;
/** Words are a few numbers and names: a length beyond this was never written. */
const MOST_WORDS_BYTES = 64 * 1024;
/** As the words of every entry begin that has any. */
const WORDS_BEGIN = '{"';
/** What is in memory of a journal at a time, whatever its length. */
export const PIECE_BYTES = 1024 * 1024;

/** Bytes that are in a file, and come into memory when they are asked for. */
export interface StoredBytes {
  readonly length: number;
  /** @throws Error of the file system; where the file was cut short meanwhile */
  read(): Promise<Buffer>;
  /** The same a piece at a time, of at most `PIECE_BYTES`; good until the next one is asked for. */
  pieces(): AsyncIterable<Buffer>;
}

/** Something that a session has accepted, in words, and the bytes that belong to it. */
export interface JournalEntry<Words = Readonly<Record<string, unknown>>> {
  readonly words: Words;
  readonly bytes: StoredBytes;
}

/** No bytes at all. */
export const NOTHING_STORED: StoredBytes = {
  length: 0,
  read: async () => Buffer.alloc(0),
  pieces: async function* () {},
};

/** The entries of a journal as it is now. The file may get longer, or another may take its name: these stay readable. */
export class JournalReader {
  /** All whole entries, oldest first. Their words are in memory, their bytes are not. */
  readonly entries: readonly JournalEntry[];
  /** Bytes that they take. */
  readonly length: number;
  readonly #file: FileHandle;

  private constructor(file: FileHandle, entries: readonly JournalEntry[], length: number) {
    this.#file = file;
    this.entries = entries;
    this.length = length;
  }

  /**
   * Reads a journal up to the first entry that is not whole.
   * @returns undefined where there is no such file
   * @throws Error of the file system
   */
  static async open(path: string): Promise<JournalReader | undefined> {
    const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (!file) return undefined;
    try {
      const scan = new Scan(file);
      const entries: JournalEntry[] = [];
      for (let entry = await scan.next(); entry; entry = await scan.next()) entries.push(entry);
      return new JournalReader(file, entries, scan.position);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Looks whether an entry that is whole lies behind the first one that is not: then that was damaged, and not cut short.
   * @returns bytes behind the last entry of `entries`, where that is so, otherwise 0
   * @throws Error of the file system
   */
  async damagedBytes(): Promise<number> {
    const { size } = await this.#file.stat();
    return (await new Scan(this.#file).findBehind(this.length, size)) ? size - this.length : 0;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Goes through a journal from its beginning, a piece in memory at a time. */
class Scan {
  /** Where the next entry begins. */
  position = 0;
  readonly #file: FileHandle;
  readonly #piece = Buffer.allocUnsafe(PIECE_BYTES);
  #pieceStart = 0;
  #pieceEnd = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** @returns undefined where no whole entry follows */
  async next(): Promise<JournalEntry | undefined> {
    const head = await this.#peek(this.position, HEAD_BYTES);
    if (!head) return undefined;
    const [wordsLength, bytesLength, checksum] = [0, 4, 8].map((at) => head.readUInt32LE(at)) as [
      number,
      number,
      number,
    ];
    // No entry is without words, but zeros have the checksum of nothing: a file system may leave them behind after a power failure.
    if (wordsLength === 0 || wordsLength > MOST_WORDS_BYTES) return undefined;
    const text = await this.#peek(this.position + HEAD_BYTES, wordsLength);
    if (!text) return undefined;
    const json = text.toString();
    let sum = crc32(text);
    const start = this.position + HEAD_BYTES + wordsLength;
    const end = start + bytesLength;
    for (let at = start; at < end; at += PIECE_BYTES) {
      const piece = await this.#peek(at, Math.min(PIECE_BYTES, end - at));
      if (!piece) return undefined;
      sum = crc32(piece, sum);
    }
    if (sum !== checksum) return undefined;
    this.position = end;
    return {
      words: JSON.parse(json),
      bytes: bytesLength > 0 ? storedIn(this.#file, start, bytesLength) : NOTHING_STORED,
    };
  }

  /** @returns whether a whole entry begins somewhere behind `start` */
  async findBehind(start: number, size: number): Promise<boolean> {
    // Pieces overlap by a head and the beginning of its words, so that none is missed between two.
    const overlap = HEAD_BYTES + WORDS_BEGIN.length - 1;
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    for (let from = start + 1; from + overlap < size; from += PIECE_BYTES - overlap) {
      const read = piece.subarray(0, await readInto(this.#file, piece, from));
      for (let at = read.indexOf(WORDS_BEGIN, HEAD_BYTES); at >= 0; at = read.indexOf(WORDS_BEGIN, at + 1)) {
        // What looks so by chance is not read any further.
        if (read.readUInt32LE(at - HEAD_BYTES) > MOST_WORDS_BYTES) continue;
        this.position = from + at - HEAD_BYTES;
        if (await this.next()) return true;
      }
    }
    return false;
  }

  /** @returns `length` bytes from `at` on, good until the next call; undefined where the file ends before */
  async #peek(at: number, length: number): Promise<Buffer | undefined> {
    if (at < this.#pieceStart || at + length > this.#pieceEnd) {
      this.#pieceStart = at;
      this.#pieceEnd = at + (await readInto(this.#file, this.#piece, at));
    }
    if (at + length > this.#pieceEnd) return undefined;
    return this.#piece.subarray(at - this.#pieceStart, at - this.#pieceStart + length);
  }
}

function storedIn(file: FileHandle, start: number, length: number): StoredBytes {
  const fill = async (buffer: Buffer, at: number) => {
    if ((await readInto(file, buffer, at)) < buffer.length)
      throw new Error('The journal was cut short under its reader.');
    return buffer;
  };
  return {
    length,
    read: () => fill(Buffer.allocUnsafe(length), start),
    pieces: async function* () {
      const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, length));
      for (let at = 0; at < length; at += piece.length) {
        yield fill(piece.subarray(0, Math.min(piece.length, length - at)), start + at);
      }
    },
  };
}

/** Fills a buffer from a place in a file. @returns bytes read: fewer than asked for at the file's end */
async function readInto(file: FileHandle, buffer: Buffer, position: number): Promise<number> {
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}
