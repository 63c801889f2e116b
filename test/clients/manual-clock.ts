import type { Clock } from '../../clients/typescript/facecast-client.js';

/** A clock that stands still but for the sleeps, which take no time. */
export class ManualClock implements Clock {
  #now = 0;
  /** Seconds of every sleep, in order. */
  readonly sleeps: number[] = [];

  now(): number {
    return this.#now;
  }

  advance(seconds: number): void {
    this.#now += seconds * 1000;
  }

  async sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.sleeps.push(milliseconds / 1000);
    this.#now += milliseconds;
  }
}
