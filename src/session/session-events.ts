/** Events that are kept for a listener who comes back. */
const KEPT = 64;

export type SessionEventType = 'speech_started' | 'speech_ended' | 'interrupted' | 'lagging' | 'error' | 'closed';

/** Something that happened on a session's timeline. */
export interface SessionEvent {
  /**
   * Grows by one from event to event. It begins at 1, and leaps where the service was started anew: no id is given twice, so that
   * a listener who comes back after it is told just what he has missed.
   */
  readonly id: number;
  readonly type: SessionEventType;
  /** Seconds since 1970. */
  readonly at: number;
  /** Frame of the timeline that it belongs to. */
  readonly frame: number;
  /** Where that frame lies on the timeline, seconds. */
  readonly seconds: number;
  /** In words, where there is more to say. */
  readonly detail?: string;
  /** Of `interrupted`: seconds of speech that will not be heard. */
  readonly droppedSeconds?: number;
}

/** What happens in one session, told to whoever listens; the last few events are kept. */
export class SessionEvents {
  readonly #fps: number;
  readonly #kept: SessionEvent[] = [];
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  #lastId: number;

  /** @param lastId the id before that of the first event; default 0 */
  constructor(fps: number, lastId = 0) {
    this.#fps = fps;
    this.#lastId = lastId;
  }

  /** Id of the newest event, or of the one before the first. */
  get lastId(): number {
    return this.#lastId;
  }

  /**
   * @param listener called with each event; must not throw
   * @param afterId events behind this one that are still kept are told first; none unless given
   * @returns ends the subscription
   */
  subscribe(listener: (event: SessionEvent) => void, afterId = this.lastId): () => void {
    for (const event of this.#kept) if (event.id > afterId) listener(event);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(type: SessionEventType, frame: number, more: Pick<SessionEvent, 'detail' | 'droppedSeconds'> = {}): void {
    const event = { id: ++this.#lastId, type, at: Date.now() / 1000, frame, seconds: frame / this.#fps, ...more };
    this.#kept.push(event);
    if (this.#kept.length > KEPT) this.#kept.shift();
    for (const listener of [...this.#listeners]) listener(event);
  }
}
