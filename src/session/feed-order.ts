import { now } from '../clock.js';
import { AppError } from '../errors.js';

/** Chunks that may wait for the ones before them. */
const MAX_WAITING = 8;

/**
 * Lets the chunks of one session in one at a time: in the order they came, or, where they carry a `chunk_index`, in
 * the order of their indices. A chunk that was refused leaves its index free for another try.
 */
export class FeedOrder {
  readonly #gapSeconds: number;
  /** What waits for its turn, first come first. */
  readonly #turns = new Set<() => Promise<void>>();
  #busy = false;
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
   * @param signal gives the chunk up as long as its turn has not come; what `accept` holds is let go of at once
   * @returns what `accept` gave, or `'duplicate'` when a chunk of this index was accepted before
   * @throws AppError `chunk_missing` when the chunks before this one do not come in time, `session_lagging` when too many
   *   wait like this one; whatever `accept` throws; the signal's reason
   */
  async run<T>(index: number | undefined, accept: () => Promise<T>, signal?: AbortSignal): Promise<T | 'duplicate'> {
    if (index === undefined) return this.#enqueue(accept, signal);
    await this.#waitForTurn(index, signal);
    const acceptOnce = async () => {
      if (index < this.#nextIndex) return 'duplicate' as const;
      const result = await accept();
      this.#nextIndex = index + 1;
      this.#wake();
      return result;
    };
    return this.#enqueue(acceptOnce, signal);
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

  #enqueue<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const turn = async () => {
        signal?.removeEventListener('abort', leave);
        try {
          resolve(await work());
        } catch (error) {
          reject(error);
        }
      };
      // It may be long until its turn: nothing of it is to wait that long in memory.
      const leave = () => {
        this.#turns.delete(turn);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#turns.add(turn);
      if (!this.#busy) this.#takeTurns();
    });
  }

  async #takeTurns(): Promise<void> {
    this.#busy = true;
    // Also those that come meanwhile.
    for (const turn of this.#turns) {
      this.#turns.delete(turn);
      await turn();
    }
    this.#busy = false;
  }

  async #waitForTurn(index: number, signal: AbortSignal | undefined): Promise<void> {
    const deadline = now() + this.#gapSeconds * 1000;
    while (index > this.#nextIndex && !this.#closed) {
      signal?.throwIfAborted();
      if (this.#ahead.size >= MAX_WAITING) {
        throw new AppError(
          'session_lagging',
          `chunk_index: ${MAX_WAITING} chunks wait for ${this.#nextIndex} already.`,
          { retryAfterSeconds: 1 },
        );
      }
      const left = deadline - now();
      if (left <= 0) {
        throw new AppError(
          'chunk_missing',
          `chunk_index: ${index} came, but ${this.#nextIndex} did not within ${this.#gapSeconds} s. Send that one, then this one again.`,
        );
      }
      await this.#moved(left, signal);
    }
  }

  #moved(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', wake);
        this.#ahead.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, milliseconds);
      signal?.addEventListener('abort', wake, { once: true });
      this.#ahead.add(wake);
    });
  }

  #wake(): void {
    for (const wake of [...this.#ahead]) wake();
  }
}
