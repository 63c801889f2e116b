/**
 * Fed sound on its way to the encoder, in the order it came: arrays go in whole and come out in the lengths that the
 * frames ask for, without being copied into one.
 */
export class SoundQueue {
  readonly #pieces: Float32Array[] = [];
  #length = 0;

  /** Samples waiting. */
  get length(): number {
    return this.#length;
  }

  push(samples: Float32Array): void {
    if (samples.length === 0) return;
    this.#pieces.push(samples);
    this.#length += samples.length;
  }

  /** Takes `count` samples off the front; fewer when fewer are there. */
  take(count: number): Float32Array {
    const taken = new Float32Array(Math.min(count, this.#length));
    let filled = 0;
    while (filled < taken.length) {
      const piece = this.#pieces[0]!;
      const part = piece.subarray(0, taken.length - filled);
      taken.set(part, filled);
      filled += part.length;
      if (part.length === piece.length) this.#pieces.shift();
      else this.#pieces[0] = piece.subarray(part.length);
    }
    this.#length -= taken.length;
    return taken;
  }
}
