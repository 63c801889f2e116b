import { AppError } from '../errors.js';

/**
 * The memory that uploads may take together. Bytes are counted as they arrive, so that connections which only promise a body
 * hold nothing. When there are too many, the largest upload that is still arriving is refused, and not the newest: pieces of
 * speech, which are small, get through while somebody sends large files.
 */
export class UploadMemory {
  readonly #limitBytes: number;
  readonly #uploads = new Set<Upload>();
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Bytes that are held now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param onRefused called at most once, while the upload is arriving; it holds nothing any more then */
  open(onRefused: (error: AppError) => void): Upload {
    const upload = new Upload(onRefused, {
      added: (bytes) => this.#added(upload, bytes),
      released: (bytes) => {
        if (this.#uploads.delete(upload)) this.#bytes -= bytes;
      },
    });
    this.#uploads.add(upload);
    return upload;
  }

  #added(upload: Upload, bytes: number): void {
    this.#bytes += bytes;
    while (this.#bytes > this.#limitBytes) {
      const arriving = [...this.#uploads].filter((each) => each.arriving);
      arriving.reduce((most, each) => (each.bytes > most.bytes ? each : most), upload).refuse();
    }
  }
}

interface Account {
  added(bytes: number): void;
  released(bytes: number): void;
}

/** One body on its way into memory. */
export class Upload {
  readonly #onRefused: (error: AppError) => void;
  readonly #account: Account;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #arriving = true;
  #released = false;

  constructor(onRefused: (error: AppError) => void, account: Account) {
    this.#onRefused = onRefused;
    this.#account = account;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** It may still be refused; what is whole is being worked with. */
  get arriving(): boolean {
    return this.#arriving && !this.#released;
  }

  /** Keeps a piece, unless nothing is wanted any more. */
  add(piece: Buffer): void {
    if (!this.arriving) return;
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    this.#account.added(piece.length);
  }

  /** All of it; it counts until it is released. */
  whole(): Buffer {
    this.#arriving = false;
    const whole = Buffer.concat(this.#pieces);
    this.#pieces = [];
    return whole;
  }

  refuse(): void {
    this.release();
    this.#onRefused(
      new AppError('overloaded', 'Too much is being uploaded at the same time; try again shortly.', {
        retryAfterSeconds: 2,
      }),
    );
  }

  /** Its bytes are needed no more. Idempotent. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#pieces = [];
    this.#account.released(this.#bytes);
  }
}
