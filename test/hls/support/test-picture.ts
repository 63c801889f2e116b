/** Frames of 25 a second, small enough for quick tests. */
export const WIDTH = 128;
export const HEIGHT = 96;
export const FRAME_BYTES = (WIDTH * HEIGHT * 3) / 2;

const NUMBER_BITS = 8;
const BLOCK = 16;

/** I420 frames: a moving ramp under a row of black and white blocks that spell the frame's number. */
export function testFrames(first: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count * FRAME_BYTES).fill(128);
  for (let n = 0; n < count; n++) {
    const luma = bytes.subarray(n * FRAME_BYTES, n * FRAME_BYTES + WIDTH * HEIGHT);
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) {
        const bit = ((first + n) >> Math.floor(x / BLOCK)) & 1;
        luma[y * WIDTH + x] = y < BLOCK ? 255 * bit : (x + y + 3 * (first + n)) & 127;
      }
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
