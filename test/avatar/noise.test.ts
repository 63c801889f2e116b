import { normalNoise } from '../../src/avatar/noise.js';

const draw = (seed: number) => Array.from({ length: 20000 }, (_, i) => normalNoise(seed, Math.floor(i / 20), i % 20));

it('is standard normal', () => {
  const values = draw(42);
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length;
  const beyondTwo = values.filter((x) => Math.abs(x) > 2).length / values.length;
  expect(Math.abs(mean)).toBeLessThan(0.03);
  expect(Math.abs(variance - 1)).toBeLessThan(0.04);
  expect(beyondTwo).toBeGreaterThan(0.038);
  expect(beyondTwo).toBeLessThan(0.053);
});

it('does not correlate between frames, channels or seeds', () => {
  const correlation = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0) / a.length;
  const values = draw(1);
  expect(Math.abs(correlation(values, draw(2)))).toBeLessThan(0.03);
  expect(Math.abs(correlation(values.slice(0, -20), values.slice(20)))).toBeLessThan(0.03);
  expect(Math.abs(correlation(values.slice(0, -1), values.slice(1)))).toBeLessThan(0.03);
});

it('depends on seed, frame and channel alone', () => {
  expect(normalNoise(42, 7, 3)).toBe(normalNoise(42, 7, 3));
  expect(normalNoise(-1, 7, 3)).toBe(normalNoise(4294967295, 7, 3));
});
