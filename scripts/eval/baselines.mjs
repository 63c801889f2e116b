// What can be told of the lips without having learned anything: the bar that a pack has to clear.

const RATE = 16_000;
const FRAME = RATE / 25;
const WINDOW = 1024;
/** dB below the loudest frame that count as nothing. */
const RANGE = 45;

/** Per frame of 25 a second: how loud it is, 0..1 over the top 45 dB. */
export function loudness(wave) {
  const levels = [];
  for (let at = 0; at < wave.length; at += FRAME) {
    const piece = wave.subarray(at, at + FRAME);
    let sum = 1e-12;
    for (const value of piece) sum += value * value;
    levels.push(10 * Math.log10(sum / piece.length));
  }
  const loudest = Math.max(...levels);
  return smooth(levels.map((level) => Math.max(0, 1 + (level - loudest) / RANGE)));
}

/**
 * Opening and width from the spectrum's balance. An open jaw raises the first formant: energy from 550 to 1000 Hz against 200
 * to 500. Spread lips and a tongue in front raise the second: 1700 to 2800 Hz against 700 to 1300.
 */
export function spectralLips(wave) {
  const loud = loudness(wave);
  const spectra = loud.map((_, i) => powerSpectrum(wave, i * FRAME + FRAME / 2));
  const balance = (low, high) =>
    smooth(
      loud.map((level, i) => {
        const ratio = Math.log((band(spectra[i], ...high) + 1e-9) / (band(spectra[i], ...low) + 1e-9));
        return level * Math.tanh(ratio / 3);
      }),
    );
  const jaw = balance([200, 500], [550, 1000]);
  return { opening: loud.map((level, i) => level + 0.5 * jaw[i]), width: balance([700, 1300], [1700, 2800]) };
}

function band(spectrum, low, high) {
  let sum = 0;
  for (let bin = Math.round((low * WINDOW) / RATE); bin <= Math.round((high * WINDOW) / RATE); bin++) {
    sum += spectrum[bin];
  }
  return sum;
}

/** Power at WINDOW / 2 frequencies of the Hann-windowed sound around a sample. */
export function powerSpectrum(wave, centre) {
  const real = new Float64Array(WINDOW);
  const imaginary = new Float64Array(WINDOW);
  for (let i = 0; i < WINDOW; i++) {
    const value = wave[centre - WINDOW / 2 + i] ?? 0;
    real[i] = value * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));
  }
  fourier(real, imaginary);
  return Float64Array.from({ length: WINDOW / 2 }, (_, i) => real[i] ** 2 + imaginary[i] ** 2);
}

/** Cooley and Tukey's fast Fourier transform, in place; the length is a power of two. */
function fourier(real, imaginary) {
  const count = real.length;
  for (let i = 1, j = 0; i < count; i++) {
    let bit = count >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j], real[i]];
      [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
    }
  }
  for (let size = 2; size <= count; size *= 2) {
    for (let start = 0; start < count; start += size) {
      for (let k = 0; k < size / 2; k++) {
        const angle = (-2 * Math.PI * k) / size;
        const [a, b] = [start + k, start + k + size / 2];
        const re = real[b] * Math.cos(angle) - imaginary[b] * Math.sin(angle);
        const im = real[b] * Math.sin(angle) + imaginary[b] * Math.cos(angle);
        [real[b], imaginary[b]] = [real[a] - re, imaginary[a] - im];
        [real[a], imaginary[a]] = [real[a] + re, imaginary[a] + im];
      }
    }
  }
}

/** Mean of each value and its neighbours. */
function smooth(values) {
  return values.map((value, i) => (value + (values[i - 1] ?? value) + (values[i + 1] ?? value)) / 3);
}
