// A worker thread that speaks the engine's protocol and dies of its first `render`.
import { parentPort } from 'node:worker_threads';

parentPort.on('message', ({ id, call }) => {
  if (call.type === 'render') process.exit(3);
  parentPort.postMessage({ type: 'result', id, value: { warnings: [] } });
});
parentPort.postMessage({
  type: 'ready',
  description: { pack: 'mortal', device: 'cpu', deviceReason: '', fps: 25, width: 2, height: 2, contextFrames: 0 },
});
