import { once } from 'node:events';
import { getPriority } from 'node:os';
import { resolve } from 'node:path';
import { Worker } from 'node:worker_threads';

const compiled = resolve(__dirname, '../../dist/inference/step-back.js');
const thread = `
  const { basename } = require('node:path');
  const { getPriority } = require('node:os');
  const own = () => getPriority(Number(basename(require('node:fs').readlinkSync('/proc/thread-self'))));
  import(${JSON.stringify(compiled)}).then(({ stepBack }) => {
    const before = own();
    stepBack();
    require('node:worker_threads').parentPort.postMessage([before, own()]);
  });
`;

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux('a thread that steps back does so alone, and from where it is', async () => {
  const before = getPriority();
  const worker = new Worker(thread, { eval: true });
  const [[own, after]] = await once(worker, 'message');
  expect(own).toBe(before);
  expect(after).toBe(Math.min(19, before + 5));
  expect(getPriority()).toBe(before);
  await worker.terminate();
});
