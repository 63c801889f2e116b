import { Resampler, samplesOwed } from '../../src/audio/resampler.js';
import { randomNumbers } from './random.js';

const RATES = [8000, 22_050, 24_000, 44_100, 48_000, 96_000];

function noise(length: number, seed = 1): Float32Array {
  const random = randomNumbers(seed);
  return new Float32Array(length).map(() => random() * 1.8 - 0.9);
}

function sine(hertz: number, rate: number, length: number, amplitude = 0.5): Float32Array {
  return new Float32Array(length).map((_, i) => amplitude * Math.sin((2 * Math.PI * hertz * i) / rate));
}

function join(pieces: Float32Array[]): Float32Array {
  const result = new Float32Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    result.set(piece, at);
    at += piece.length;
  }
  return result;
}

/** Resamples in pieces of the sizes that `nextSize` gives. */
async function resample(
  samples: Float32Array,
  inputRate: number,
  outputRate: number,
  nextSize: () => number = () => samples.length,
): Promise<Float32Array> {
  const resampler = new Resampler(outputRate);
  const pieces: Float32Array[] = [];
  for (let at = 0; at < samples.length; ) {
    const size = nextSize();
    pieces.push(await resampler.push(samples.subarray(at, at + size), inputRate));
    at += size;
  }
  pieces.push(await resampler.flush());
  resampler.close();
  return join(pieces);
}

/** Power of the middle 60 %, in dB relative to a sine of amplitude 0.5: the filter's transients at the ends left out. */
function levelDb(samples: Float32Array): number {
  let power = 0;
  const from = Math.floor(samples.length * 0.2);
  const to = Math.floor(samples.length * 0.8);
  for (let i = from; i < to; i++) power += samples[i] ** 2;
  return 10 * Math.log10(power / (to - from) / 0.125 + 1e-30);
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i])), 0);
}

describe.each([16_000, 48_000])('Resampler to %d Hz', (outputRate) => {
  test.each(RATES)('from %d Hz: pieces of any size give the samples of the whole', async (inputRate) => {
    const samples = noise(Math.floor(inputRate * 0.37));
    const whole = await resample(samples, inputRate, outputRate);
    expect(whole.length).toBe(Math.ceil((samples.length * outputRate) / inputRate));
    const random = randomNumbers(inputRate);
    for (const largest of [2, 640, 9000]) {
      const pieces = await resample(samples, inputRate, outputRate, () => 1 + Math.floor(random() * largest));
      expect(largestDifference(pieces, whole)).toBeLessThan(1e-6);
    }
    const single = samples.subarray(0, 3000);
    const bySample = await resample(single, inputRate, outputRate, () => 1);
    expect(largestDifference(bySample, await resample(single, inputRate, outputRate))).toBeLessThan(1e-6);
  });

  test.each(RATES)('from %d Hz: a sine of the passband comes out in place, flat within 0.01 dB', async (inputRate) => {
    const nyquist = Math.min(inputRate, outputRate) / 2;
    for (const hertz of [50, 0.3 * nyquist, 0.8 * nyquist]) {
      const output = await resample(sine(hertz, inputRate, inputRate / 2), inputRate, outputRate);
      const exact = sine(hertz, outputRate, outputRate / 2);
      expect(Math.abs(levelDb(output))).toBeLessThan(0.01);
      // A shift by a hundredth of a sample would leave more than this.
      const error = levelDb(output.map((value, i) => value - exact[i]));
      expect(error).toBeLessThan(-80);
    }
  });

  const lowering = RATES.filter((rate) => rate > outputRate);
  test.each(lowering)('from %d Hz: what the output cannot hold is 80 dB down', async (inputRate) => {
    const nyquist = outputRate / 2;
    // Steps grow: the filter's slope, just above the output's Nyquist frequency, is where it lets most through.
    for (let above = 0.001; nyquist * (1 + above) < inputRate / 2; above = above * 1.5 + 0.01) {
      const hertz = nyquist * (1 + above);
      const output = await resample(sine(hertz, inputRate, inputRate / 8), inputRate, outputRate);
      if (levelDb(output) > -80) throw new Error(`${hertz} Hz comes through at ${levelDb(output)} dB`);
    }
  });

  const raising = RATES.filter((rate) => rate < outputRate);
  test.each(raising)('from %d Hz: no image appears above the input’s band', async (inputRate) => {
    const hertz = 0.31 * inputRate;
    const output = await resample(sine(hertz, inputRate, inputRate), inputRate, outputRate);
    const exact = sine(hertz, outputRate, outputRate);
    expect(levelDb(output.map((value, i) => value - exact[i]))).toBeLessThan(-80);
  });

  test.each([8001, 11_025, 22_050, 44_100, 95_999, 192_000])('from %d Hz: the length is exact', async (inputRate) => {
    for (const length of [1, 2, 3, 100, 4097, 20_011]) {
      const output = await resample(noise(length), inputRate, outputRate, () => 777);
      expect(output.length).toBe(Math.ceil((length * outputRate) / inputRate));
    }
  });

  test('an impulse stays where it was', async () => {
    const samples = new Float32Array(44_100);
    samples[22_050] = 1;
    const output = await resample(samples, 44_100, outputRate);
    const peak = output.reduce((best, value, i) => (value > output[best] ? i : best), 0);
    expect(peak).toBe(outputRate / 2);
  });

  test('its own rate passes through bit for bit', async () => {
    const samples = noise(10_007);
    const output = await resample(samples, outputRate, outputRate, () => 999);
    expect(Buffer.from(output.buffer).equals(Buffer.from(samples.buffer))).toBe(true);
  });
});

describe('Resampler', () => {
  test('a change of rate keeps the total exact and the sound in place', async () => {
    const resampler = new Resampler(16_000);
    const pieces: Float32Array[] = [];
    let seconds = 0;
    for (let round = 0; round < 40; round++) {
      const rate = [44_100, 8000, 16_000, 22_050, 48_000, 11_025][round % 6];
      const length = 1001 + 37 * round;
      const start = seconds;
      const samples = Float32Array.from({ length }, (_, i) => 0.5 * Math.sin(2 * Math.PI * 200 * (start + i / rate)));
      pieces.push(await resampler.push(samples, rate));
      seconds += length / rate;
    }
    pieces.push(await resampler.flush());
    resampler.close();
    const output = join(pieces);
    expect(output.length).toBe(Math.ceil(seconds * 16_000));
    // A change places the next sample on the output's grid: less than one sample early, never adding up.
    const exact = sine(200, 16_000, output.length);
    const error = output.map((value, i) => value - exact[i]);
    const slope = (0.5 * 2 * Math.PI * 200) / 16_000;
    const late = error.subarray(-400);
    expect(Math.max(...late.map(Math.abs))).toBeLessThan(1.5 * slope + 0.01);
  });

  test('remainders of many rates add up to whole samples', () => {
    const thirds = new Map([
      [48_000, 1],
      [24_000, 1],
    ]);
    expect(samplesOwed(thirds, 16_000)).toBe(1);
    expect(samplesOwed(new Map([[44_100, 44_100 * 36_000 + 1]]), 16_000)).toBe(16_000 * 36_000 + 1);
    expect(samplesOwed(new Map([[191_999, 191_999]]), 48_000)).toBe(48_000);
    expect(samplesOwed(new Map(), 48_000)).toBe(0);
  });

  test('a flush ends a stream; the next one begins anew', async () => {
    const samples = noise(5000);
    const resampler = new Resampler(16_000);
    const first = join([await resampler.push(samples, 24_000), await resampler.flush()]);
    expect((await resampler.flush()).length).toBe(0);
    const second = join([await resampler.push(samples, 24_000), await resampler.flush()]);
    resampler.close();
    expect(first.length + second.length).toBe(Math.ceil(20_000 / 3));
    expect(largestDifference(second, first.subarray(0, second.length))).toBe(0);
  });

  test('overlapping pushes are carried out in order', async () => {
    const samples = noise(100_000);
    const resampler = new Resampler(16_000);
    const pieces = await Promise.all([
      resampler.push(samples.subarray(0, 60_000), 24_000),
      resampler.push(samples.subarray(60_000, 60_001), 24_000),
      resampler.push(samples.subarray(60_001), 24_000),
      resampler.flush(),
    ]);
    resampler.close();
    expect(largestDifference(join(pieces), await resample(samples, 24_000, 16_000))).toBe(0);
  });

  test('two resamplers do not disturb each other', async () => {
    const [a, b] = [noise(30_000, 3), noise(30_000, 4)];
    const alone = await resample(a, 24_000, 16_000, () => 500);
    const [together] = await Promise.all([
      resample(a, 24_000, 16_000, () => 500),
      resample(b, 44_100, 16_000, () => 700),
    ]);
    expect(largestDifference(together, alone)).toBe(0);
  });

  test('long input leaves the event loop free', async () => {
    const resampler = new Resampler(48_000);
    await resampler.push(noise(24_000), 24_000);
    let turns = 0;
    let working = true;
    const count = () => {
      turns++;
      if (working) setImmediate(count);
    };
    setImmediate(count);
    await resampler.push(new Float32Array(10 * 24_000), 24_000);
    working = false;
    resampler.close();
    expect(turns).toBeGreaterThan(50);
  });

  test('closing in the middle of a push ends it with an error', async () => {
    const resampler = new Resampler(16_000);
    const push = resampler.push(new Float32Array(1_000_000), 24_000);
    setTimeout(() => resampler.close(), 30);
    await expect(push).rejects.toThrow('closed');
    await expect(resampler.flush()).rejects.toThrow('closed');
    resampler.close();
  });
});
