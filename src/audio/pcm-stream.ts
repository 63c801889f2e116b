/** Headerless 16-bit little-endian mono PCM that comes in pieces of any size, an odd number of bytes included. */
export class PcmStream {
  #half: number | undefined;

  /** @returns the samples that are whole now, -1..1; half a sample waits for the next piece. */
  push(bytes: Uint8Array): Float32Array {
    const carried = this.#half === undefined ? 0 : 1;
    const samples = new Float32Array((bytes.length + carried) >> 1);
    let at = 0;
    if (carried && bytes.length > 0) samples[0] = toSample(this.#half!, bytes[at++]);
    for (let i = at; i < samples.length; i++, at += 2) samples[i] = toSample(bytes[at], bytes[at + 1]);
    if (bytes.length > 0) this.#half = at < bytes.length ? bytes[at] : undefined;
    return samples;
  }
}

function toSample(low: number, high: number): number {
  return (((high << 8) | low) << 16) / 2 ** 31;
}
