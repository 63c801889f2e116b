import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { startEngine } from '../../src/inference/start-engine.js';
import { createLogger } from '../../src/log.js';
import { makeImtalkerPack } from '../support/imtalker-pack.js';

const root = resolve(__dirname, '../..');
const gpu = existsSync('/dev/nvidiactl') || existsSync('/dev/dxg');
let imtalker: string;

beforeAll(async () => {
  imtalker = await makeImtalkerPack();
});

afterAll(() => rm(imtalker, { recursive: true, force: true }));

function start(packDirectory: string, device: 'auto' | 'cpu' | 'cuda') {
  return startEngine({
    packDirectory,
    device,
    workers: 1,
    batchFrames: undefined,
    script: join(root, 'dist/inference/worker.js'),
    logger: createLogger('silent'),
  });
}

it('takes the CPU for a pack that is made for it, without looking for a GPU', async () => {
  const engine = await start(join(root, 'models/portrait'), 'auto');
  expect(engine.description).toMatchObject({
    device: 'cpu',
    deviceReason: 'DEVICE=auto: this pack is made for the CPU',
  });
  await engine.close();
});

it('takes the device asked for, with runs that suit it', async () => {
  const engine = await start(imtalker, 'cpu');
  expect(engine.description).toMatchObject({ device: 'cpu', deviceReason: 'DEVICE=cpu', batchFrames: 5 });
  await engine.close();
});

(gpu ? it.skip : it)('takes the CPU, and says why, where there is no GPU', async () => {
  const engine = await start(imtalker, 'auto');
  expect(engine.description).toMatchObject({
    device: 'cpu',
    deviceReason: 'DEVICE=auto: no NVIDIA GPU was found',
  });
  await engine.close();
});

(gpu ? it.skip : it)('does not start on a GPU that is not there', async () => {
  await expect(start(imtalker, 'cuda')).rejects.toThrow('The model could not be loaded on cuda');
});

it('says that there is no pack before it looks for anything else', async () => {
  await expect(start('/nowhere', 'auto')).rejects.toThrow('There is no model pack at /nowhere');
});
