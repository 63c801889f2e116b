/** Bit rates of a stream, from its segments as they are made. */
export class BitRate {
  readonly #targetDuration: number;
  /** The newest segments, no more than can lie in one stretch that counts. */
  #recent: { bytes: number; seconds: number }[] = [];
  #bytes = 0;
  #seconds = 0;
  #peak = 0;

  /** @param targetDuration seconds */
  constructor(targetDuration: number) {
    this.#targetDuration = targetDuration;
  }

  add(bytes: number, seconds: number): void {
    this.#bytes += bytes;
    this.#seconds += seconds;
    this.#recent.push({ bytes, seconds });
    let stretch = { bytes: 0, seconds: 0 };
    let used = 0;
    for (const segment of [...this.#recent].reverse()) {
      stretch = { bytes: stretch.bytes + segment.bytes, seconds: stretch.seconds + segment.seconds };
      // RFC 8216bis 4.1: the peak segment bit rate is the largest of any contiguous set of segments whose duration is
      // between 0.5 and 1.5 times the target duration.
      if (stretch.seconds > 1.5 * this.#targetDuration) break;
      used++;
      if (stretch.seconds >= 0.5 * this.#targetDuration) this.#peak = Math.max(this.#peak, rate(stretch));
    }
    this.#recent = this.#recent.slice(-Math.max(1, used));
  }

  /** Bits a second of the segments together; 0 before the first. */
  get average(): number {
    return this.#seconds > 0 ? rate({ bytes: this.#bytes, seconds: this.#seconds }) : 0;
  }

  /** The largest bits a second of any stretch; of the whole where that is shorter than a stretch. */
  get peak(): number {
    return this.#peak > 0 ? this.#peak : this.average;
  }
}

function rate({ bytes, seconds }: { bytes: number; seconds: number }): number {
  return Math.ceil((8 * bytes) / seconds);
}
