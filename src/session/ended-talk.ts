import { AppError } from '../errors.js';
import type { Talk } from './talk.js';

/** A talk that was over before the service was started again: there is only its stream. */
export class EndedTalk implements Talk {
  readonly bufferedSamples = 0;
  readonly speaking = false;
  readonly lagSeconds = 0;
  readonly lateShare = 0;

  constructor(readonly frames: number) {}

  start(): void {}

  admit(): never {
    throw new AppError('session_closed', 'The talk is over; init another session to go on speaking.');
  }

  async push(): Promise<void> {}
  async endUtterance(): Promise<void> {}
  async finish(): Promise<void> {}
  stop(): void {}
  async settled(): Promise<void> {}
}
