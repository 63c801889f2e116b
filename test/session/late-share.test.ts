import { LateShare } from '../../src/session/late-share.js';

describe('LateShare', () => {
  let time: number;
  let share: LateShare;

  beforeEach(() => {
    time = 5_000_000;
    share = new LateShare(() => time);
  });

  const show = (pictures: number, late: boolean) => {
    for (let i = 0; i < pictures; i++, time += 40) share.count(late);
  };

  test('is the part of the last ten seconds that was late', () => {
    show(125, false);
    show(124, true);
    expect(share.value).toBe(124 / 249);
    show(126, false);
    expect(share.value).toBeGreaterThan(0.4);
    expect(share.value).toBeLessThan(0.5);
    show(125, false);
    expect(share.value).toBe(0);
  });

  test('is nothing where there are hardly any pictures, or only old ones', () => {
    expect(share.value).toBe(0);
    show(100, true);
    expect(share.value).toBe(0);
    show(60, true);
    expect(share.value).toBe(1);
    time += 60_000;
    expect(share.value).toBe(0);
  });
});
