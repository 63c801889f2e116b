/** The part of a terminal's stream that is needed. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const CLEAR_LINE = '\r\u001b[K';

/** One line of text that changes. Where there is no terminal, every change is at most a line every five seconds. */
export class StatusLine {
  readonly #out: Terminal;
  readonly #now: () => number;
  #shown = false;
  #lastWrite = Number.NEGATIVE_INFINITY;

  constructor(out: Terminal, now: () => number = () => performance.now()) {
    this.#out = out;
    this.#now = now;
  }

  show(text: string): void {
    if (this.#out.isTTY) {
      const fitting = text.slice(0, Math.max(20, (this.#out.columns || 80) - 1));
      this.#out.write(CLEAR_LINE + fitting);
      this.#shown = true;
    } else if (this.#now() - this.#lastWrite >= 5000) {
      this.#lastWrite = this.#now();
      this.#out.write(`${text}\n`);
    }
  }

  /** Takes the line away, for text that stays. */
  end(): void {
    if (this.#shown) this.#out.write(CLEAR_LINE);
    this.#shown = false;
  }
}
