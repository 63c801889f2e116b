import { AppError } from '../errors.js';
import type { Talk, TalkListener } from './talk.js';

/** A talk that was over before the service was started again: there is only its stream. */
export class EndedTalk implements Talk {
  readonly bufferedSamples = 0;
  readonly speaking = false;
  readonly lagSeconds = 0;

  readonly #failure: AppError | undefined;

  /** @param failure what it ended with, if not well */
  constructor(
    readonly frames: number,
    failure: AppError | undefined,
  ) {
    this.#failure = failure;
  }

  start(listener: TalkListener): void {
    if (this.#failure) listener.onFailure(this.#failure);
    else listener.onComplete();
  }

  admit(): never {
    throw new AppError('session_closed', 'The talk is complete; init another session to go on speaking.');
  }

  async push(): Promise<void> {}
  async endUtterance(): Promise<void> {}
  async finish(): Promise<void> {}
  stop(): void {}
  async settled(): Promise<void> {}
}
