/** Frames of 25 a second, small enough for quick tests. */
export const WIDTH = 128;
export const HEIGHT = 96;
export const FRAME_BYTES = (WIDTH * HEIGHT * 3) / 2;

const NUMBER_BITS = 8;
const BLOCK = 16;
/** Rows are copied from it: Jest's global objects are slow, and so is a loop over pixels. */
const RAMP = Uint8Array.from({ length: 128 + WIDTH }, (_, i) => i & 127);

/** I420 frames: a moving ramp under a row of black and white blocks that spell the frame's number. */
export function testFrames(first: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count * FRAME_BYTES).fill(128);
  for (let n = 0; n < count; n++) {
    const luma = bytes.subarray(n * FRAME_BYTES, n * FRAME_BYTES + WIDTH * HEIGHT);
    for (let y = 0; y < BLOCK; y++) {
      for (let bit = 0; bit < NUMBER_BITS; bit++) {
        const from = y * WIDTH + bit * BLOCK;
        luma.fill(255 * (((first + n) >> bit) & 1), from, from + BLOCK);
      }
    }
    for (let y = BLOCK; y < HEIGHT; y++) {
      const step = (y + 3 * (first + n)) & 127;
      luma.set(RAMP.subarray(step, step + WIDTH), y * WIDTH);
    }
  }
  return bytes;
}

/** The number that the blocks of a decoded luma plane spell. */
export function frameNumber(luma: Uint8Array): number {
  let number = 0;
  for (let bit = 0; bit < NUMBER_BITS; bit++) {
    if (luma[(BLOCK / 2) * WIDTH + bit * BLOCK + BLOCK / 2] > 127) number |= 1 << bit;
  }
  return number;
}

/** Sound with a click of half a millisecond at each of the given samples. */
export function clicks(length: number, at: readonly number[]): Float32Array {
  const samples = new Float32Array(length);
  for (const centre of at) {
    for (let i = -12; i <= 12; i++) {
      if (centre + i >= 0 && centre + i < length) samples[centre + i] = 0.9 * Math.cos((Math.PI * i) / 26) ** 2;
    }
  }
  return samples;
}

/** Sample of the loudest value within `reach` samples of the expected place. */
export function loudestNear(samples: Int16Array, expected: number, reach: number): number {
  let best = expected;
  for (let i = Math.max(0, expected - reach); i < Math.min(samples.length, expected + reach); i++) {
    if (Math.abs(samples[i]) > Math.abs(samples[best] ?? 0)) best = i;
  }
  return best;
}
