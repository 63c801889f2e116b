import { listGpus, visibleGpus } from '../../src/inference/gpu.js';

const csv = '0, GPU-aa11, NVIDIA H200, 143771, 143000\n1, GPU-bb22, NVIDIA L4, 23034, 20000\n';
const h200 = { uuid: 'GPU-aa11', name: 'NVIDIA H200', totalMib: 143771, freeMib: 143000 };
const l4 = { uuid: 'GPU-bb22', name: 'NVIDIA L4', totalMib: 23034, freeMib: 20000 };

it.each([
  [undefined, [h200, l4]],
  ['1', [l4]],
  ['1,0', [l4, h200]],
  ['GPU-bb', [l4]],
  // CUDA sees nothing behind an id that it does not know.
  ['0,7,1', [h200]],
  ['', []],
  ['-1', []],
])('CUDA_VISIBLE_DEVICES=%s', (visible, gpus) => {
  expect(visibleGpus(csv, visible)).toEqual(gpus);
});

it('does not take what the driver does not say for a number', () => {
  expect(visibleGpus('0, GPU-cc, NVIDIA GB10, [N/A], [N/A]', undefined)).toEqual([
    { uuid: 'GPU-cc', name: 'NVIDIA GB10', totalMib: 0, freeMib: undefined },
  ]);
});

it('finds none where there is no nvidia-smi', async () => {
  const path = process.env.PATH;
  process.env.PATH = '/nowhere';
  try {
    expect(await listGpus()).toEqual([]);
  } finally {
    process.env.PATH = path;
  }
});
