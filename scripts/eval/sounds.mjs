// Sounds in which nobody speaks: 16 kHz, always the same numbers.

const RATE = 16_000;
const TURN = 2 * Math.PI;

/** Even numbers from -1 to 1; mulberry32, so that every machine hears the same noise. */
function noise(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2147483648 - 1;
  };
}

/** Noise through one pole: the lower `share`, the darker. */
function darkNoise(seed, share) {
  const next = noise(seed);
  let level = 0;
  return () => {
    level += share * (next() - level);
    return level;
  };
}

const SCALE = [261.63, 293.66, 329.63, 392.0, 440.0, 523.25, 587.33, 659.26];

/** Plucked notes, two at a time, each with five falling harmonics. */
function melody(time) {
  let sum = 0;
  for (const [length, step] of [
    [0.25, 3],
    [0.5, 5],
  ]) {
    const note = Math.floor(time / length);
    const since = time - note * length;
    const pitch = SCALE[(note * step) % SCALE.length] * (length > 0.3 ? 0.5 : 1);
    for (let k = 1; k <= 5; k++) sum += (Math.sin(TURN * pitch * k * since) / k) * Math.exp(-since * (3 + k));
  }
  return sum;
}

/** What each sound is at a time in seconds. */
const SOUNDS = {
  silence: () => () => 0,
  'room noise, -60 dB': () => {
    const next = noise(1);
    return () => next() * 1.7e-3;
  },
  'white noise, -30 dB': () => {
    const next = noise(2);
    return () => next() * 0.055;
  },
  'white noise, -14 dB': () => {
    const next = noise(3);
    return () => next() * 0.35;
  },
  'dark noise, -26 dB': () => {
    const next = darkNoise(4, 0.08);
    return () => next() * 0.42;
  },
  'mains hum, 50 Hz': () => (t) => 0.1 * Math.sin(TURN * 50 * t) + 0.05 * Math.sin(TURN * 150 * t),
  'tone, 440 Hz': () => (t) => 0.2 * Math.sin(TURN * 440 * t),
  'tones of a melody': () => (t) => 0.08 * melody(t),
  // From 500 to 1500 Hz and back in 2 s: the phase is the integral of that.
  siren: () => (t) => 0.2 * Math.sin(TURN * (1000 * t - (500 * Math.sin(Math.PI * t)) / Math.PI)),
};

export const SOUND_NAMES = Object.keys(SOUNDS);

export function makeSound(name, seconds) {
  const at = SOUNDS[name]();
  return Float32Array.from({ length: Math.round(seconds * RATE) }, (_, i) => at(i / RATE));
}
