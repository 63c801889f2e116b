const BLOCK_SAMPLES = 16_384;

/**
 * A queue of samples addressed by their absolute position in the stream. Samples live in blocks; forgetting frees whole
 * blocks, so that memory follows what is kept, whatever the size and number of pushes.
 */
export class SampleQueue {
  #blocks: Float32Array[] = [];
  /** Position of the first sample of the first block. */
  #start: number;
  #end: number;

  /** @param start position of the first sample that will be appended */
  constructor(start = 0) {
    this.#start = start;
    this.#end = start;
  }

  /** Position behind the last sample. */
  get end(): number {
    return this.#end;
  }

  /** Samples for which memory is held. */
  get capacity(): number {
    return this.#blocks.length * BLOCK_SAMPLES;
  }

  append(samples: Float32Array): void {
    for (let taken = 0; taken < samples.length; ) {
      const position = this.#end - this.#start;
      const offset = position % BLOCK_SAMPLES;
      if (position === this.capacity) this.#blocks.push(new Float32Array(BLOCK_SAMPLES));
      const count = Math.min(BLOCK_SAMPLES - offset, samples.length - taken);
      this.#blocks.at(-1)!.set(samples.subarray(taken, taken + count), offset);
      taken += count;
      this.#end += count;
    }
  }

  /**
   * Copies the samples [from, to) into an array of that length; positions behind the end read as silence.
   * `from` must not have been forgotten.
   */
  read(from: number, to: number): Float32Array {
    if (from < this.#start) throw new RangeError(`Samples before ${this.#start} are forgotten; asked from ${from}.`);
    const result = new Float32Array(to - from);
    const last = Math.min(to, this.#end);
    for (let at = from; at < last; ) {
      const block = Math.floor((at - this.#start) / BLOCK_SAMPLES);
      const offset = (at - this.#start) % BLOCK_SAMPLES;
      const count = Math.min(BLOCK_SAMPLES - offset, last - at);
      result.set(this.#blocks[block].subarray(offset, offset + count), at - from);
      at += count;
    }
    return result;
  }

  /**
   * Takes back the samples from `position` on, but for the first `fadeSamples` of them, which fade to silence. The next
   * samples follow behind those.
   * @throws RangeError when samples before `position` are not there
   */
  takeBack(position: number, fadeSamples: number): void {
    const end = Math.min(this.#end, position + fadeSamples);
    const tail = this.read(position, Math.max(position, end));
    for (let i = 0; i < tail.length; i++) tail[i]! *= 1 - (i + 1) / fadeSamples;
    if (position > this.#end) throw new RangeError(`There are no samples at ${position}, only up to ${this.#end}.`);
    this.#end = position;
    this.#blocks.length = Math.ceil((position - this.#start) / BLOCK_SAMPLES);
    this.append(tail);
  }

  /** Samples before `position` will not be asked for again. */
  forgetBefore(position: number): void {
    const blocks = Math.floor((Math.min(position, this.#end) - this.#start) / BLOCK_SAMPLES);
    if (blocks <= 0) return;
    this.#blocks.splice(0, blocks);
    this.#start += blocks * BLOCK_SAMPLES;
  }
}
