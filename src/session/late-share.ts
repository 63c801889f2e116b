/** How far back it is looked, and in what steps. */
const SECONDS = 10;
/** Fewer pictures tell nothing. */
const LEAST = 125;

/** The share of a talk's pictures that came too late, over the last ten seconds. */
export class LateShare {
  readonly #now: () => number;
  /** Of each second: which one it is, its pictures, and those of them that were late. */
  readonly #seconds = Array.from({ length: SECONDS }, () => ({ second: -1, pictures: 0, late: 0 }));

  /** @param now milliseconds, never going back */
  constructor(now: () => number) {
    this.#now = now;
  }

  count(late: boolean): void {
    const second = Math.floor(this.#now() / 1000);
    const slot = this.#seconds[second % SECONDS]!;
    if (slot.second !== second) Object.assign(slot, { second, pictures: 0, late: 0 });
    slot.pictures++;
    if (late) slot.late++;
  }

  /** 0..1; 0 where there were hardly any pictures. */
  get value(): number {
    const oldest = Math.floor(this.#now() / 1000) - SECONDS;
    let [pictures, late] = [0, 0];
    for (const slot of this.#seconds) {
      if (slot.second <= oldest) continue;
      pictures += slot.pictures;
      late += slot.late;
    }
    return pictures < LEAST ? 0 : late / pictures;
  }
}
