import { availableParallelism } from 'node:os';
import { AppError } from '../errors.js';

/** Longer than this no recording waits for its turn to be decoded. */
const PATIENCE_MILLISECONDS = 15_000;

/** Bounds how many recordings are decoded at a time: each takes a core, and up to 115 MB for ten minutes of speech. */
export class DecodeTurns {
  readonly #most: number;
  readonly #patience: number;
  #running = 0;
  readonly #waiting = new Set<() => void>();

  constructor(most: number = Math.max(2, availableParallelism()), patienceMilliseconds = PATIENCE_MILLISECONDS) {
    this.#most = most;
    this.#patience = patienceMilliseconds;
  }

  /**
   * Does the work when it is its turn, first come, first served.
   * @throws AppError `overloaded` when it would have to wait too long; what the work throws
   */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#most) await this.#turn();
    else this.#running++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.values().next().value;
      // The place is handed on, so that nobody who comes now is first.
      if (next) next();
      else this.#running--;
    }
  }

  #turn(): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = () => {
        clearTimeout(timer);
        this.#waiting.delete(begin);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(begin);
        reject(
          new AppError('overloaded', 'Too many recordings wait to be decoded; try again shortly.', {
            retryAfterSeconds: 5,
          }),
        );
      }, this.#patience);
      this.#waiting.add(begin);
    });
  }
}
