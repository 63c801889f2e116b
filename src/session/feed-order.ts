import { AppError } from '../errors.js';

/** Chunks that may wait for the ones before them. */
const MAX_WAITING = 8;

/**
 * Lets the chunks of one session in one at a time: in the order they came, or, where they carry a `chunk_index`, in
 * the order of their indices. A chunk that was refused leaves its index free for another try.
 */
export class FeedOrder {
  readonly #gapSeconds: number;
  #tail: Promise<unknown> = Promise.resolve();
  #nextIndex = 0;
  /** Chunks whose index is ahead of the next one, woken whenever that moves. */
  readonly #ahead = new Set<() => void>();
  #closed = false;

  /** @param gapSeconds how long a chunk waits for those before it */
  constructor(gapSeconds: number) {
    this.#gapSeconds = gapSeconds;
  }

  /**
   * Runs `accept` when it is this chunk's turn.
   * @param index the chunk's `chunk_index`, undefined for chunks that carry none
   * @returns what `accept` gave, or `'duplicate'` when a chunk of this index was accepted before
   * @throws AppError `chunk_missing` when the chunks before this one do not come in time, `session_lagging` when too many
   *   wait like this one; whatever `accept` throws
   */
  async run<T>(index: number | undefined, accept: () => Promise<T>): Promise<T | 'duplicate'> {
    if (index === undefined) return this.#enqueue(accept);
    await this.#waitForTurn(index);
    return this.#enqueue(async () => {
      if (index < this.#nextIndex) return 'duplicate' as const;
      const result = await accept();
      this.#nextIndex = index + 1;
      this.#wake();
      return result;
    });
  }

  /** What comes next follows a chunk of this index, which was accepted in another life. */
  resumeAfter(index: number): void {
    this.#nextIndex = index + 1;
  }

  /** Ends all waiting. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(work);
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  async #waitForTurn(index: number): Promise<void> {
    const deadline = Date.now() + this.#gapSeconds * 1000;
    while (index > this.#nextIndex && !this.#closed) {
      if (this.#ahead.size >= MAX_WAITING) {
        throw new AppError(
          'session_lagging',
          `chunk_index: ${MAX_WAITING} chunks wait for ${this.#nextIndex} already.`,
          { retryAfterSeconds: 1 },
        );
      }
      const left = deadline - Date.now();
      if (left <= 0) {
        throw new AppError(
          'chunk_missing',
          `chunk_index: ${index} came, but ${this.#nextIndex} did not within ${this.#gapSeconds} s. Send that one, then this one again.`,
        );
      }
      await this.#moved(left);
    }
  }

  #moved(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#ahead.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, milliseconds);
      this.#ahead.add(wake);
    });
  }

  #wake(): void {
    for (const wake of [...this.#ahead]) wake();
  }
}
