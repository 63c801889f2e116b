/** Events that are kept for a listener who comes back. */
const KEPT = 64;

export type SessionEventType = 'speech_started' | 'speech_ended' | 'interrupted' | 'lagging' | 'error' | 'closed';

/** Something that happened on a session's timeline. */
export interface SessionEvent {
  /** Counts the session's events, from 1. */
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
  #count = 0;

  constructor(fps: number) {
    this.#fps = fps;
  }

  /** Id of the newest event, 0 before the first. */
  get lastId(): number {
    return this.#count;
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
    const event = { id: ++this.#count, type, at: Date.now() / 1000, frame, seconds: frame / this.#fps, ...more };
    this.#kept.push(event);
    if (this.#kept.length > KEPT) this.#kept.shift();
    for (const listener of [...this.#listeners]) listener(event);
  }
}
