import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkerEngine } from '../../src/inference/worker-engine.js';
import { createLogger } from '../../src/log.js';

const image = () => ({ width: 1, height: 1, data: new Uint8Array(3) });
const options = { crop: false, seed: 1, nfe: 5, cfgScale: 1 };

function start(workers: number, script = 'mortal-worker.mjs'): Promise<WorkerEngine> {
  return WorkerEngine.start({
    packDirectory: '',
    device: 'cpu',
    deviceReason: 'test',
    workers,
    script: resolve(__dirname, '../support', script),
    logger: createLogger('silent'),
  });
}

it('is not ready while its only thread is being replaced', async () => {
  const engine = await start(1);
  const avatar = await engine.open(image(), options);
  await expect(avatar.render({ startFrame: 0, frames: 1, tokens: new Float32Array(1) })).rejects.toThrow();
  expect(engine.ready).toBe(false);
  await expect(engine.open(image(), options)).rejects.toMatchObject({ code: 'not_ready' });
  for (let i = 0; i < 200 && !engine.ready; i++) await sleep(20);
  await (await engine.open(image(), options)).close();
  await engine.close();
});

it('says so when a thread ends before it is ready', async () => {
  await expect(start(1, 'still-born-worker.mjs')).rejects.toThrow('exited with code 7 before it was ready');
});

it('replaces a thread that dies: its sessions end with an error, the others go on', async () => {
  const engine = await start(2);
  try {
    const first = await engine.open(image(), options);
    const second = await engine.open(image(), options);
    const dying = first.render({ startFrame: 0, frames: 1, tokens: new Float32Array(1) });
    await expect(dying).rejects.toMatchObject({ code: 'internal' });
    expect(engine.ready).toBe(true);
    await expect(first.render({ startFrame: 0, frames: 1, tokens: new Float32Array(1) })).rejects.toMatchObject({
      code: 'internal',
    });
    await first.close();
    // The other thread's session answers still, and a new one finds a living thread.
    await second.close();
    await (await engine.open(image(), options)).close();
  } finally {
    await engine.close();
  }
  await expect(engine.open(image(), options)).rejects.toMatchObject({ code: 'not_ready' });
});
