// Closes an engine whose worker threads are all in the middle of a run. Argument: the repository's folder.
import { join } from 'node:path';

const root = process.argv[2];
const { WorkerEngine } = await import(join(root, 'dist/inference/worker-engine.js'));
const { createLogger } = await import(join(root, 'dist/log.js'));

const engine = await WorkerEngine.start({
  packDirectory: join(root, 'models/portrait'),
  device: 'cpu',
  deviceReason: 'test',
  batchFrames: 5,
  places: [{ kind: 'thread' }, { kind: 'thread' }, { kind: 'thread' }],
  script: join(root, 'dist/inference/worker.js'),
  logger: createLogger('silent'),
});
const picture = () => ({ width: 64, height: 64, data: new Uint8Array(64 * 64 * 3).fill(128) });
const options = { crop: false, seed: 1, nfe: 5, cfgScale: 1 };
const window = { startFrame: 0, frames: 8, overlapFrames: 0, contextFrames: 0 };
for (let i = 0; i < 3; i++) {
  const avatar = await engine.open(picture(), options);
  const motion = await avatar.generateMotion({ ...window, waveform: new Float32Array(8 * 640) }, 0);
  const drawAgain = () => avatar.render(motion, 0).then(drawAgain, () => undefined);
  drawAgain();
}
await engine.close();
console.log('closed');
