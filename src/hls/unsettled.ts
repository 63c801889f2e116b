/**
 * The end of a raw stream, frames or sound, that may have to be encoded again. Positions count elements (bytes of frames,
 * samples of sound) from the start of the talk, so they do not depend on how the stream was cut into pieces.
 */
export class Unsettled<T extends Uint8Array | Float32Array> {
  #pieces: T[] = [];
  #start: number;
  #end: number;

  /** @param start position of the first element */
  constructor(start = 0) {
    this.#start = start;
    this.#end = start;
  }

  /** Position of the first element that is kept. */
  get start(): number {
    return this.#start;
  }

  /** Position after the last element. */
  get end(): number {
    return this.#end;
  }

  /** What is kept, in order. */
  get pieces(): readonly T[] {
    return this.#pieces;
  }

  /** @param piece what comes next; not to be changed afterwards. */
  push(piece: T): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.#end += piece.length;
  }

  /** Forgets everything before a position; one that lies before the start changes nothing, one past the end forgets all. */
  settle(position: number): void {
    const until = Math.min(position, this.#end);
    while (until > this.#start) {
      const piece = this.#pieces[0];
      const settled = Math.min(piece.length, until - this.#start);
      if (settled === piece.length) this.#pieces.shift();
      // The memory goes when all of the piece is settled.
      else this.#pieces[0] = piece.subarray(settled) as T;
      this.#start += settled;
    }
  }
}
