import { parentPort, type TransferListItem, workerData } from 'node:worker_threads';
import type { Avatar } from '../avatar/engine.js';
import { LocalEngine } from '../avatar/local-engine.js';
import { AppError } from '../errors.js';
import { ModelPack } from './model-pack.js';
import type { WorkerCall, WorkerFailure, WorkerMessage, WorkerRequest, WorkerSetup } from './worker-protocol.js';

// Entry of an inference thread: loads the pack, says that it is ready, then serves calls one after another.

const port = parentPort;
if (!port) throw new Error('inference/worker is a worker thread, not a program.');

const send = (message: WorkerMessage, transfer: TransferListItem[] = []) => port.postMessage(message, transfer);
const avatars = new Map<number, Avatar>();

try {
  const { packDirectory, device } = workerData as WorkerSetup;
  const engine = await LocalEngine.load(await ModelPack.read(packDirectory), device);
  let last: Promise<void> = Promise.resolve();
  port.on('message', (request: WorkerRequest) => {
    last = last.then(() => serve(engine, request));
  });
  send({ type: 'ready', description: engine.description });
} catch (thrown) {
  send({ type: 'failed', reason: thrown instanceof Error ? thrown.message : String(thrown) });
}

async function serve(engine: LocalEngine, { id, call }: WorkerRequest): Promise<void> {
  try {
    const value = await perform(engine, call);
    const transfer: TransferListItem[] = [];
    if (value instanceof Uint8Array) transfer.push(value.buffer as ArrayBuffer);
    else if (value && 'tokens' in value) transfer.push(value.tokens.buffer as ArrayBuffer);
    send({ type: 'result', id, value }, transfer);
  } catch (thrown) {
    send({ type: 'error', id, failure: failure(thrown) });
  }
}

async function perform(engine: LocalEngine, call: WorkerCall) {
  if (call.type === 'open') {
    const avatar = await engine.open(call.portrait, call.options);
    avatars.set(call.avatar, avatar);
    return { warnings: avatar.warnings };
  }
  const avatar = avatars.get(call.avatar);
  if (!avatar) throw new Error(`There is no avatar ${call.avatar} in this thread.`);
  switch (call.type) {
    case 'generateMotion':
      return avatar.generateMotion(call.window);
    case 'render':
      return avatar.render(call.motion);
    case 'close':
      avatars.delete(call.avatar);
      await avatar.close();
      return undefined;
  }
}

function failure(thrown: unknown): WorkerFailure {
  const { code, message, cause } = AppError.from(thrown);
  const origin = cause ?? thrown;
  return { code, detail: message, stack: origin instanceof Error ? origin.stack : String(origin) };
}
