import type { Part } from '../../src/hls/packager.js';
import { PartTiming } from '../../src/hls/part-timing.js';
import { Instruments } from '../../src/metrics/instruments.js';
import { MetricsPage } from '../support/metrics-page.js';

let now = 0;
beforeEach(() => {
  now = 50_000;
  jest.spyOn(performance, 'now').mockImplementation(() => now);
});
afterEach(() => jest.restoreAllMocks());

function start(live: boolean) {
  const instruments = new Instruments();
  const timing = new PartTiming({ fps: 25, soundRate: 48_000, live, instruments });
  const list = (firstFrame: number, frames: number, soundSurplus = 0) =>
    timing.list({ firstFrame, frames, soundSurplus } as Part);
  const sums = async () => {
    const page = new MetricsPage(await instruments.registry.metrics());
    return { late: page.value('part_lateness_seconds_sum'), encode: page.value('stage_seconds_sum stage=encode') };
  };
  return { timing, list, sums };
}

it('says how late a part is by the clock of its stream, and how long its last frame took', async () => {
  const { timing, list, sums } = start(true);
  for (let frame = 0; frame < 10; frame++, now += 40) timing.write(frame, 1);
  // Frame 4 was written at 160 ms and is over at 200 ms; it is 400 ms now.
  list(0, 5);
  expect(await sums()).toEqual({ late: expect.closeTo(0.2, 9), encode: expect.closeTo(0.24, 9) });
  expect(timing.framesKept).toBe(5);
  now += 100;
  // The next: over at 400 ms, its last frame written at 360 ms; now 500 ms.
  list(5, 5);
  expect(await sums()).toEqual({ late: expect.closeTo(0.2 + 0.1, 9), encode: expect.closeTo(0.24 + 0.14, 9) });
  expect(timing.framesKept).toBe(0);
});

it('counts from frame 0 where a stream goes on with a later one', async () => {
  const { timing, list, sums } = start(true);
  for (let frame = 100; frame < 105; frame++, now += 40) timing.write(frame, 1);
  now += 30;
  expect(timing.framesKept).toBe(5);
  list(100, 5);
  expect(await sums()).toEqual({ late: expect.closeTo(0.03, 9), encode: expect.closeTo(0.07, 9) });
});

it('takes a part that comes before its picture would be over for one in time', async () => {
  const { timing, list, sums } = start(true);
  timing.write(0, 5);
  now += 20;
  list(0, 5);
  expect((await sums()).late).toBe(0);
});

it('has no lateness where there is no clock', async () => {
  const { timing, list, sums } = start(false);
  timing.write(0, 5);
  timing.write(5, 5);
  now += 5000;
  list(0, 5);
  expect(await sums()).toEqual({ late: 0, encode: 5 });
  expect(timing.framesKept).toBe(5);
});

it('gives the sound’s end against the picture’s, of the newest part', () => {
  const { timing, list } = start(true);
  timing.write(0, 10);
  list(0, 5, 512);
  expect(timing.soundOffsetSeconds).toBeCloseTo(512 / 48_000, 9);
  list(5, 5, -480);
  expect(timing.soundOffsetSeconds).toBeCloseTo(-0.01, 9);
});
