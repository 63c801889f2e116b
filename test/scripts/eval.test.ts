import { join, resolve } from 'node:path';

// The scripts are JavaScript; these parts of them need neither a pack nor FFmpeg.
const statistics = require('../../scripts/eval/statistics.mjs');
const { loudness, powerSpectrum, spectralLips } = require('../../scripts/eval/baselines.mjs');
const { moments } = require('../../scripts/eval/closures.mjs');
const { measureFace } = require('../../scripts/eval/face-measure.mjs');
const { readOptions, PARTS } = require('../../scripts/eval/options.mjs');
const { cut, psnr, toI420, toRgb } = require('../../scripts/eval/pictures.mjs');
const { asMarkdown, asText, formatted, meetsTarget, row } = require('../../scripts/eval/rows.mjs');
const { makeSound, SOUND_NAMES } = require('../../scripts/eval/sounds.mjs');
const { checkTokens, curve, pose, TOKENS } = require('../../scripts/eval/tokens.mjs');

const RATE = 16_000;

function tone(frequency: number, seconds: number, level = 0.2): Float32Array {
  return Float32Array.from(
    { length: seconds * RATE },
    (_, i) => level * Math.sin((2 * Math.PI * frequency * i) / RATE),
  );
}

describe('statistics', () => {
  const wave = Array.from({ length: 60 }, (_, i) => Math.sin(i / 3) + 0.3 * Math.sin(i * 1.7));

  it('correlates a curve with itself, its negative and a flat one', () => {
    expect(statistics.correlation(wave, wave)).toBeCloseTo(1, 9);
    expect(
      statistics.correlation(
        wave,
        wave.map((value) => 3 - 2 * value),
      ),
    ).toBeCloseTo(-1, 9);
    expect(statistics.correlation(wave, new Array(60).fill(0.4))).toBe(0);
    expect(() => statistics.correlation(wave, wave.slice(1))).toThrow('60 and 59');
  });

  it.each([-3, -1, 0, 2])('finds that a curve comes %i frames late', (late) => {
    const real = wave.slice(10, 50);
    const made = wave.slice(10 - late, 50 - late);
    const lags = statistics.lagCorrelations(made, real, 3);
    const best = lags.reduce((a: { correlation: number }, b: { correlation: number }) =>
      b.correlation > a.correlation ? b : a,
    );
    expect(best.lag).toBe(late);
    expect(best.correlation).toBeCloseTo(1, 9);
    expect(() => statistics.lagCorrelations([1, 2, 3], [1, 2, 3], 3)).toThrow('too few');
  });

  it('pools recordings without regard to the size of their curves', () => {
    const pairs = [
      { made: wave, real: wave.map((value) => 10 + 5 * value) },
      { made: wave.map((value) => value / 100), real: wave },
    ];
    expect(statistics.pooledCorrelation(pairs)).toBeCloseTo(1, 9);
    const half = [pairs[0], { made: wave, real: wave.map((value) => -value) }];
    expect(statistics.pooledCorrelation(half)).toBeCloseTo(0, 9);
  });

  it('tells quantiles, bends and cosines', () => {
    expect(statistics.quantile([4, 1, 3, 2, 5], 0.5)).toBe(3);
    expect(statistics.quantile([0, 10], 0.95)).toBeCloseTo(9.5, 9);
    expect(statistics.bends([0, 1, 2, 3, 5])).toEqual([0, 0, 1]);
    expect(statistics.bends([1])).toEqual([]);
    expect(statistics.cosine([1, 0], [1, 1])).toBeCloseTo(Math.SQRT1_2, 9);
  });

  it('finds stretches above a level, also at the ends', () => {
    expect(statistics.stretchesAbove([0.9, 0.2, 0.6, 1, 0.7, 0.1, 0.8], 0.5)).toEqual([
      { start: 0, end: 1, peak: 0 },
      { start: 2, end: 5, peak: 3 },
      { start: 6, end: 7, peak: 6 },
    ]);
  });

  it('samples a curve at other times and holds its ends', () => {
    const values = statistics.interpolate([0, 0.1, 0.3], [0, 10, 30], [-1, 0.05, 0.1, 0.2, 9]);
    expect([...values]).toEqual([0, 5, 10, expect.closeTo(20, 9), 30]);
  });
});

describe('pictures', () => {
  it('keep their colours as I420 and back', () => {
    const data = new Uint8Array(8 * 4 * 3);
    // Squares of 2x2 pixels, so that chroma loses nothing.
    for (let y = 0; y < 4; y++)
      for (let x = 0; x < 8; x++) data.set([40 + 50 * (x >> 1), 200 - 60 * (y >> 1), 90], (y * 8 + x) * 3);
    const back = toRgb(toI420({ width: 8, height: 4, data }), 8, 4);
    for (let i = 0; i < data.length; i++) expect(Math.abs(back.data[i] - data[i]!)).toBeLessThanOrEqual(2);
  });

  it('have a peak signal-to-noise ratio', () => {
    const grey = new Uint8Array(600).fill(100);
    expect(psnr(grey, grey)).toBe(Infinity);
    // One level everywhere: 20 log10(255).
    expect(psnr(grey, new Uint8Array(600).fill(101))).toBeCloseTo(48.13, 2);
    expect(() => psnr(grey, grey.subarray(1))).toThrow('600 and 599');
  });

  it('are cut, black outside', () => {
    const picture = { width: 2, height: 2, data: Uint8Array.from([1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]) };
    const reds = (part: { data: Uint8Array }) => [...part.data].filter((_, i) => i % 3 === 0);
    expect(reds(cut(picture, 1, 1, 2, 2))).toEqual([4, 0, 0, 0]);
    expect(reds(cut(picture, -1, 0, 3, 2))).toEqual([0, 1, 2, 0, 3, 4]);
    expect(reds(cut(picture, 5, 0, 1, 1))).toEqual([0]);
  });
});

describe('tokens', () => {
  const scale = TOKENS.map((_: string, i: number) => i + 1);

  it('are scaled by name, there and back', () => {
    const tokens = pose({ open: 0.5, yaw: -0.1 }, scale);
    expect(tokens[1]).toBeCloseTo(1, 6);
    expect(curve(tokens, scale, 'yaw')[0]).toBeCloseTo(-0.1, 6);
    expect(curve(tokens, scale, 'jaw')[0]).toBe(0);
    expect(() => pose({ opne: 1 }, scale)).toThrow('opne');
    expect(() => curve(tokens, scale, 'opne')).toThrow('opne');
  });

  it('are those of the portrait pack', () => {
    const facts = require(join(__dirname, '../../models/portrait/pack.json'));
    expect(() => checkTokens(facts)).not.toThrow();
    expect(() => checkTokens({ name: 'other', motion: { tokens: 64 } })).toThrow(
      '64 motion tokens without token_scale',
    );
  });
});

describe('sounds', () => {
  it.each(SOUND_NAMES as string[])('%s is the same every time and stays within -1..1', (name) => {
    const sound = makeSound(name, 0.5);
    expect(sound).toHaveLength(8000);
    expect(makeSound(name, 0.5)).toEqual(sound);
    expect(Math.max(...sound.map(Math.abs))).toBeLessThan(0.95);
    expect(sound.some((value: number) => value !== 0)).toBe(name !== 'silence');
  });

  it.each([
    ['room noise, -60 dB', -60],
    ['white noise, -30 dB', -30],
    ['white noise, -14 dB', -14],
    ['dark noise, -26 dB', -26],
  ])('%s is as loud as it says', (name, level) => {
    const sound: Float32Array = makeSound(name, 4);
    const power = statistics.mean(sound.map((value) => value * value));
    expect(Math.abs(10 * Math.log10(power) - level)).toBeLessThan(1);
  });

  it('a siren goes from 500 to 1500 Hz', () => {
    const sound = makeSound('siren', 2);
    const peak = (seconds: number) => {
      const spectrum: Float64Array = powerSpectrum(sound, seconds * RATE);
      return (spectrum.indexOf(Math.max(...spectrum)) * RATE) / 1024;
    };
    // The lowest at a whole even second, the highest half a period later.
    expect(Math.abs(peak(1) - 1500)).toBeLessThan(60);
    expect(Math.abs(peak(0.5) - 1000)).toBeLessThan(100);
  });
});

describe('baselines', () => {
  it('hear where it is loud', () => {
    const wave = new Float32Array(2 * RATE);
    wave.set(tone(300, 1), RATE / 2);
    const loud: number[] = loudness(wave);
    expect(loud).toHaveLength(50);
    expect(loud[5]).toBe(0);
    expect(loud[25]).toBeCloseTo(1, 2);
  });

  it('call a high first formant open and a high second formant wide', () => {
    const mixed = (low: number, high: number) => {
      const upper = tone(high, 1, 0.1);
      return tone(low, 1).map((value, i) => value + upper[i]!);
    };
    const lips = (wave: Float32Array) => {
      const { opening, width } = spectralLips(wave);
      return { opening: opening[12], width: width[12] };
    };
    const [a, i, u] = [lips(mixed(750, 1150)), lips(mixed(290, 2300)), lips(mixed(310, 870))];
    expect(a.opening).toBeGreaterThan(i.opening);
    expect(i.width).toBeGreaterThan(a.width);
    expect(i.width).toBeGreaterThan(u.width);
  });
});

describe('closures', () => {
  it('are looked for in the middle of a phone that is long enough and not at the ends', () => {
    const phones = [
      ['b', 0, 0.06],
      ['a', 0.06, 0.4],
      ['m', 0.4, 0.48],
      ['ə', 0.48, 0.52],
      ['f', 0.52, 0.6],
      ['p', 0.6, 0.62],
      ['s', 0.62, 0.8],
      ['v', 0.96, 1],
    ];
    const found = moments(phones, 25);
    expect(found.bilabial).toEqual([11]);
    expect(found.labiodental).toEqual([14]);
    expect(found.vowel).toEqual([5]);
    expect(found.held).toEqual([{ first: 3, last: 9 }]);
  });
});

describe('a face', () => {
  it('is measured in distances of the outer eye corners', () => {
    const landmarks = new Float32Array(468 * 3);
    const put = (point: number, x: number, y: number) => landmarks.set([x, y, 0], point * 3);
    put(33, 100, 100);
    put(263, 300, 100);
    for (const [upper, lower] of [
      [13, 14],
      [82, 87],
      [312, 317],
    ] as const) {
      put(upper, 200, 300);
      put(lower, 200, 320);
    }
    put(61, 160, 310);
    put(291, 240, 310);
    put(133, 160, 100);
    put(362, 240, 100);
    for (const [upper, lower] of [
      [159, 145],
      [158, 153],
      [386, 374],
      [385, 380],
    ] as const) {
      put(upper, 130, 90);
      put(lower, 130, 108);
    }
    const face = measureFace(landmarks);
    expect(face.unit).toBe(200);
    expect(face.opening).toBeCloseTo(0.1, 6);
    expect(face.width).toBeCloseTo(0.4, 6);
    expect(face.eyes).toBeCloseTo(0.3, 6);
    expect(face.mouth).toEqual([200, 310]);
  });
});

describe('the report', () => {
  const parts = [
    {
      title: 'Lips',
      rows: [
        row('a', 'opening', 0.634, 'ratio', { target: { least: 0.6 }, beside: 'energy 0.20' }),
        row('b', 'silence', 0.02, 'fine', { target: { most: 0.01 } }),
        row('c', 'nothing', Number.NaN, 'percent', { target: { least: 0.5 } }),
      ],
    },
    { title: 'Clips', rows: [], skipped: 'there are none' },
  ];

  it('says what meets its target', () => {
    expect(parts[0]!.rows.map(meetsTarget)).toEqual([true, false, undefined]);
    expect(row('d', 'at the target', 0.6, 'ratio', { target: { least: 0.6 } })).toMatchObject({ value: 0.6 });
  });

  it('has no minus before nothing, and keeps it before something', () => {
    expect(formatted(-0.0002, 'fine')).toBe('0.000');
    expect(formatted(-0.0006, 'fine')).toBe('-0.001');
    expect(formatted(-0.001, 'percent')).toBe('-0.1 %');
    expect(formatted(-0.0001, 'percent')).toBe('0.0 %');
    expect(formatted(null, 'ratio')).toBe('-');
  });

  it('is a table for a terminal and for Markdown', () => {
    expect(asMarkdown(parts, { a: 0.5 })).toBe(
      [
        '**Lips**\n',
        '| measure | this pack | first pack | beside | target | met |',
        '| --- | --- | --- | --- | --- | --- |',
        '| opening | 0.63 | 0.50 | energy 0.20 | at least 0.60 | yes |',
        '| silence | 0.020 |  |  | at most 0.010 | no |',
        '| nothing | - |  |  | at least 50.0 % |  |',
        '',
        '**Clips**: left out, there are none\n',
      ].join('\n'),
    );
    const lines = asText(parts, {}).split('\n');
    expect(lines[2]).toMatch(/^ {2}opening +0\.63 +energy 0\.20 +at least 0\.60 +yes$/);
    expect(lines.at(-2)).toBe('  left out: there are none');
  });
});

describe('the command line', () => {
  const root = resolve(__dirname, '../..');

  it('knows where everything usually is', () => {
    expect(readOptions([], root, {})).toEqual({
      help: false,
      quick: false,
      only: PARTS,
      pack: join(root, 'models/portrait'),
      portraits: resolve(root, '../shared/data/portraits'),
      clips: resolve(root, '../shared/data/talking'),
      out: join(root, 'eval-report'),
      json: undefined,
    });
    expect(readOptions([], root, { FACECAST_TEST_DATA: '/data' }).clips).toBe('/data/talking');
    expect(readOptions(['--only', 'quiet, life', '--json', '/n.json', '--quick'], root, {})).toMatchObject({
      only: ['quiet', 'life'],
      json: '/n.json',
      quick: true,
    });
  });

  it('names what is wrong', () => {
    expect(() => readOptions(['--only', 'lips'], root, {})).toThrow('--only lips: there are the parts clips, closures');
    expect(() => readOptions(['--pcak', 'x'], root, {})).toThrow('--pcak');
    expect(() => readOptions(['more'], root, {})).toThrow('more');
  });
});
