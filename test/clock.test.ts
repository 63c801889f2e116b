import { execFileSync } from 'node:child_process';
import { now } from '../src/clock.js';

const milliseconds = (instant: bigint) => Number(instant) / 1e6;

it('is one for all processes of the machine', () => {
  const tell = 'console.log(process.hrtime.bigint().toString())';
  const before = now();
  const there = milliseconds(BigInt(execFileSync(process.execPath, ['-e', tell], { encoding: 'utf8' })));
  expect(there).toBeGreaterThan(before);
  expect(there).toBeLessThan(now());
});

it('does not follow the time of day', () => {
  const { now: today } = Date;
  jest.spyOn(Date, 'now').mockImplementation(() => today() - 3_600_000);
  const before = milliseconds(process.hrtime.bigint());
  expect(now()).toBeGreaterThanOrEqual(before);
  jest.restoreAllMocks();
});
