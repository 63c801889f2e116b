// Ends a process, as the service does, of which one thread hangs in native code for as long as standard input is open.
// Arguments: the repository's folder; whether the hang is noticed before.
import { join } from 'node:path';

const [root, noticed] = process.argv.slice(2);
const { WorkerEngine } = await import(join(root, 'dist/inference/worker-engine.js'));
const { endProcess } = await import(join(root, 'dist/end-process.js'));
const { createLogger } = await import(join(root, 'dist/log.js'));

const engine = await WorkerEngine.start({
  packDirectory: '',
  device: 'cpu',
  deviceReason: 'test',
  batchFrames: 5,
  places: [{ kind: 'thread' }],
  script: join(root, 'test/support/mortal-worker.mjs'),
  hangSeconds: noticed === 'true' ? 0.5 : 3600,
  logger: createLogger('silent'),
});
const picture = { width: 1, height: 1, data: new Uint8Array(3) };
const avatar = await engine.open(picture, { crop: false, seed: 1, nfe: 5, cfgScale: 1 });
const drawn = avatar.render({ startFrame: 0, frames: 5, tokens: new Float32Array(5) }, 0);
if (noticed === 'true') await drawn.catch(() => undefined);
await engine.close();
console.log('closed');
endProcess(0);
