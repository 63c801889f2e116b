import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkerEngine } from '../../src/inference/worker-engine.js';
import { createLogger } from '../../src/log.js';

const image = () => ({ width: 1, height: 1, data: new Uint8Array(3) });
const options = { crop: false, seed: 1, nfe: 5, cfgScale: 1 };

it('replaces a thread that dies: its sessions end with an error, the others go on', async () => {
  const engine = await WorkerEngine.start({
    packDirectory: '',
    device: 'cpu',
    deviceReason: 'test',
    workers: 2,
    script: resolve(__dirname, '../support/mortal-worker.mjs'),
    logger: createLogger('silent'),
  });
  try {
    const first = await engine.open(image(), options);
    const second = await engine.open(image(), options);
    const dying = first.render({ startFrame: 0, frames: 1, tokens: new Float32Array(1) });
    await expect(dying).rejects.toMatchObject({ code: 'internal' });
    expect(engine.ready).toBe(false);
    await expect(first.render({ startFrame: 0, frames: 1, tokens: new Float32Array(1) })).rejects.toMatchObject({
      code: 'internal',
    });
    await first.close();
    // The other thread's session answers still, and a new one finds a living thread.
    await second.close();
    await (await engine.open(image(), options)).close();

    for (let i = 0; i < 100 && !engine.ready; i++) await sleep(20);
    expect(engine.ready).toBe(true);
  } finally {
    await engine.close();
  }
  await expect(engine.open(image(), options)).rejects.toMatchObject({ code: 'not_ready' });
});
