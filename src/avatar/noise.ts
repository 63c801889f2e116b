/**
 * Standard normal numbers that depend on nothing but (seed, frame, channel), so that a frame starts from the same
 * noise in every window that generates it, however the speech was cut.
 *
 * A counter-based generator: the three numbers are mixed by the finaliser of MurmurHash3 (public domain, A. Appleby)
 * into two uniforms, which the Box-Muller transform turns into one normal.
 */
export function normalNoise(seed: number, frame: number, channel: number): number {
  const key = mix(mix(mix(seed >>> 0) ^ (frame >>> 0)) ^ (channel >>> 0) ^ 0x9e3779b9);
  // (0, 1]: the logarithm needs a positive number.
  const radius = (mix(key ^ 0x85ebca6b) + 1) / 4294967296;
  const angle = mix(key ^ 0xc2b2ae35) / 4294967296;
  return Math.sqrt(-2 * Math.log(radius)) * Math.cos(2 * Math.PI * angle);
}

function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
