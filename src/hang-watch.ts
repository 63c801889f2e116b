/** Looks in the time after which something counts as hung. */
const LOOKS = 10;

export interface HangWatchOptions {
  readonly seconds: number;
  /** Whether it has all it needs to give something. */
  readonly owes: () => boolean;
  /** Called at every look that finds it hung. */
  readonly onHang: () => void;
}

/**
 * Tells of something that owes and gives nothing. Silent looks are counted, not seconds: when the whole machine was stopped
 * for a while, what it gave may already be waiting to be read.
 */
export class HangWatch {
  readonly #timer: NodeJS.Timeout;
  #gave = false;
  #silentLooks = 0;

  constructor({ seconds, owes, onHang }: HangWatchOptions) {
    const look = () => {
      this.#silentLooks = this.#gave || !owes() ? 0 : this.#silentLooks + 1;
      this.#gave = false;
      if (this.#silentLooks >= LOOKS) onHang();
    };
    this.#timer = setInterval(look, (seconds * 1000) / LOOKS).unref();
  }

  /** It gave something, or is a new one. */
  note(): void {
    this.#gave = true;
    this.#silentLooks = 0;
  }

  /** Idempotent. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
