/** Numbers that are the same at every run (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** 0 or more, below `end`, whole. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end;
  }

  of<T>(things: readonly T[]): T {
    return things[this.below(things.length)]!;
  }

  bytes(length: number): Buffer<ArrayBuffer> {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }

  /** The same bytes, but for some that are changed, lost, doubled or put in between. */
  spoil(bytes: Uint8Array): Buffer<ArrayBuffer> {
    let spoilt = Buffer.from(bytes);
    for (let times = 1 + this.below(4); times > 0; times--) {
      const [at, end] = [this.below(spoilt.length + 1), this.below(spoilt.length + 1)].sort((a, b) => a - b) as [
        number,
        number,
      ];
      const way = this.below(6);
      if (way <= 1 && spoilt.length > 0) spoilt[this.below(spoilt.length)] = this.below(256);
      if (way === 2) spoilt = spoilt.subarray(0, end);
      if (way === 3) spoilt = Buffer.concat([spoilt.subarray(0, at), spoilt.subarray(end)]);
      if (way === 4)
        spoilt = Buffer.concat([
          spoilt.subarray(0, end),
          spoilt.subarray(at, Math.min(end, at + 500)),
          spoilt.subarray(end),
        ]);
      if (way === 5)
        spoilt = Buffer.concat([spoilt.subarray(0, at), this.bytes(1 + this.below(40)), spoilt.subarray(at)]);
    }
    return spoilt;
  }
}
