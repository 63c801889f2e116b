import { AppError } from '../errors.js';

/** Requests that wait for a stream to get further. Their number is bounded: each holds a connection. */
export class Waiters {
  readonly #limit: number;
  readonly #looks = new Set<() => void>();

  /** @param limit how many may wait at a time */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** How many wait now. */
  get size(): number {
    return this.#looks.size;
  }

  /**
   * Resolves when `ready` is true, which is looked at now and at every `wake`, or when the time is over.
   * @param signal frees the waiter when the client leaves; then rejects with the signal's reason
   * @throws AppError `not_ready` when too many wait
   */
  async until(ready: () => boolean, seconds: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (ready()) return;
    if (this.#looks.size >= this.#limit) {
      throw new AppError('not_ready', 'Too many requests wait for this stream; try again shortly.', {
        retryAfterSeconds: 1,
      });
    }
    await new Promise<void>((resolve, reject) => {
      const done = () => {
        this.#looks.delete(look);
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        if (signal?.aborted) reject(signal.reason);
        else resolve();
      };
      const look = () => {
        if (ready()) done();
      };
      const timer = setTimeout(done, seconds * 1000);
      this.#looks.add(look);
      signal?.addEventListener('abort', done);
    });
  }

  /** Something has changed. */
  wake(): void {
    for (const look of [...this.#looks]) look();
  }
}
