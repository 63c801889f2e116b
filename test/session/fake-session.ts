import { AppError } from '../../src/errors.js';
import { SessionEvents } from '../../src/session/session-events.js';
import type { StreamedSession } from '../../src/session/speech-stream.js';

/** A session that remembers what it was told, and plays only when the test says so. */
export class FakeSession implements StreamedSession {
  readonly audioSampleRate: number;
  live = true;
  over = false;
  /** Its final chunk was fed, and it still has something to say. */
  closing = false;
  error: string | null = null;
  state = 'waiting_for_audio';
  framesGenerated = 0;
  readonly events = new SessionEvents(25);
  /** Samples spoken, in order, all at the rate below. */
  readonly spoken: Float32Array[] = [];
  readonly rates = new Set<number>();
  /** What was told besides sound, with the samples spoken before it. */
  readonly calls: { readonly call: string; readonly after: number }[] = [];
  queuedSeconds = 0;
  /** More than this is refused as the real session refuses it. */
  maxQueuedSeconds = 300;
  finishing: Promise<void> = Promise.resolve();
  #count = 0;

  constructor(audioSampleRate = 8000) {
    this.audioSampleRate = audioSampleRate;
  }

  get samples(): number {
    return this.#count;
  }

  touch(): void {}

  /** Lets so much of the queue be heard. */
  play(seconds: number): void {
    this.queuedSeconds = Math.max(0, this.queuedSeconds - seconds);
  }

  async speak({ samples, sampleRate }: { samples: Float32Array; sampleRate: number }): Promise<void> {
    await Promise.resolve();
    this.#refuseIfOver();
    const seconds = samples.length / sampleRate;
    if (this.queuedSeconds + seconds > this.maxQueuedSeconds) {
      throw new AppError('session_lagging', 'Feed slower.', { retryAfterSeconds: 1 });
    }
    this.spoken.push(samples);
    this.rates.add(sampleRate);
    this.#count += samples.length;
    this.queuedSeconds += seconds;
  }

  async endUtterance(): Promise<void> {
    this.#refuseIfOver();
    this.calls.push({ call: 'endUtterance', after: this.#count });
  }

  async interrupt(): Promise<{ droppedSeconds: number }> {
    this.#refuseIfOver();
    await Promise.resolve();
    this.calls.push({ call: 'interrupt', after: this.#count });
    const droppedSeconds = this.queuedSeconds;
    this.queuedSeconds = 0;
    this.events.tell('interrupted', 0, { droppedSeconds });
    return { droppedSeconds };
  }

  async finish(): Promise<void> {
    this.calls.push({ call: 'finish', after: this.#count });
    await this.finishing;
    this.end();
  }

  /** Ends as a session does: by itself, by deletion, or by a fault. */
  end(error: string | null = null): void {
    this.over = true;
    this.error = error;
    this.events.tell('closed', 0);
  }

  #refuseIfOver(): void {
    if (this.over || this.closing)
      throw new AppError('session_closed', this.error ?? 'The final chunk was fed before.');
  }
}
