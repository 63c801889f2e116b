import { AppError } from '../errors.js';
import type { Talk, TalkListener } from './talk.js';

/** A talk that was complete before the service was started again: there is only its stream. */
export class EndedTalk implements Talk {
  readonly bufferedSamples = 0;
  readonly speaking = false;
  readonly lagSeconds = 0;

  constructor(readonly frames: number) {}

  start(listener: TalkListener): void {
    listener.onComplete();
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
