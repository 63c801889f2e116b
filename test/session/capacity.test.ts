import { capacityOf } from '../../src/session/capacity.js';

const cpu = (cores: number) => ({ cores, workers: cores, workersOnCpu: true });

it('fills the cores where the model runs on them', () => {
  // 0.2 + 0.02 + 0.08 of a core each, and a tenth of the machine left over.
  expect(capacityOf(cpu(2), { model: 0.2, encoder: 0.02 })).toBe(6);
  expect(capacityOf(cpu(16), { model: 0.2, encoder: 0.02 })).toBe(48);
});

it('fills the inference workers where they are fewer', () => {
  expect(capacityOf({ cores: 16, workers: 1, workersOnCpu: true }, { model: 0.2, encoder: 0.06 })).toBe(4);
});

it('is bounded by encoding where a GPU does the rest, and by the GPU where that is slower', () => {
  expect(capacityOf({ cores: 4, workers: 1, workersOnCpu: false }, { model: 0.02, encoder: 0.04 })).toBe(30);
  expect(capacityOf({ cores: 64, workers: 2, workersOnCpu: false }, { model: 0.1, encoder: 0.06 })).toBe(18);
});

it('lets one session try where the machine is too slow for any', () => {
  expect(capacityOf(cpu(2), { model: 30, encoder: 0.1 })).toBe(1);
});
