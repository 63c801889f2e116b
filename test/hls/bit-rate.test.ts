import { BitRate } from '../../src/hls/bit-rate.js';

describe('BitRate', () => {
  it('is nothing before the first segment', () => {
    const rate = new BitRate(1);
    expect([rate.peak, rate.average]).toEqual([0, 0]);
  });

  it('has the peak of any stretch of 0.5 to 1.5 target durations, and the average of all', () => {
    const rate = new BitRate(1);
    for (const bytes of [100, 300, 200]) rate.add(bytes, 1);
    expect([rate.peak, rate.average]).toEqual([2400, 1600]);
    // 0.2 s are no stretch by themselves: with the second before them they are 1.2 s.
    rate.add(280, 0.2);
    expect(rate.peak).toBe(Math.ceil((8 * 480) / 1.2));
    // 0.2, 0.2 and 1 s are 1.4 s; another second before them would be too much.
    rate.add(280, 0.2);
    expect(rate.peak).toBe(Math.ceil((8 * 760) / 1.4));
  });

  it('counts what is shorter than a stretch as a whole', () => {
    const rate = new BitRate(1);
    rate.add(100, 0.4);
    expect([rate.peak, rate.average]).toEqual([2000, 2000]);
  });
});
