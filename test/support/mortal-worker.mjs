// A worker, thread or process, that speaks the engine's protocol and dies of a `render`: at once, or, when it is asked for
// two frames, after it has said that its device is broken; asked for three, it says so and lives on;
// asked for four, it hears and says nothing for 10 s; asked for five, it hangs in native code, where no thread can be ended, for as
// long as standard input is open. With FAKE_GPU it takes 100 MiB for every session.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

const send = (message, sent) => {
  if (!parentPort) return process.send(message, undefined, undefined, sent);
  parentPort.postMessage(message);
  sent?.();
};

function takeGpuMemory(mib) {
  const file = process.env.FAKE_GPU;
  if (!file) return;
  const fields = readFileSync(file, 'utf8').split(', ');
  fields[4] = `${Number(fields[4]) - mib}`;
  writeFileSync(file, fields.join(', '));
}

function serve(request) {
  if (request === 'stop') process.exit();
  const { id, call } = request;
  if (call.type === 'render' && call.motion.frames === 4) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000);
  }
  if (call.type === 'render' && call.motion.frames === 5) {
    spawnSync('sh', ['-c', 'read nothing'], { stdio: ['inherit', 'ignore', 'ignore'] });
  }
  if (call.type === 'render' && call.motion.frames > 1) {
    const reason = 'CUDA failure 700: an illegal memory access was encountered';
    return send({ type: 'broken', reason }, () => call.motion.frames === 2 && process.exit(1));
  }
  if (call.type === 'render') process.exit(3);
  if (call.type === 'open') takeGpuMemory(100);
  if (call.type === 'close') takeGpuMemory(-100);
  send({ type: 'result', id, value: { warnings: [] } });
}

(parentPort ?? process).on('message', serve);
const description = { pack: 'mortal', device: 'cpu', deviceReason: '', fps: 25, width: 2, height: 2 };
takeGpuMemory(1000);
send({ type: 'ready', description: { ...description, contextFrames: 0, batchFrames: 5 } });
