import { parentPort, type TransferListItem, workerData } from 'node:worker_threads';
import type { Avatar } from '../avatar/engine.js';
import { LocalEngine } from '../avatar/local-engine.js';
import { AppError } from '../errors.js';
import { isDeviceFailure } from './device-failure.js';
import { ModelPack } from './model-pack.js';
import { stepBack } from './step-back.js';
import {
  STOP,
  type WorkerCall,
  type WorkerFailure,
  type WorkerMessage,
  type WorkerRequest,
  type WorkerSetup,
} from './worker-protocol.js';

// Entry of an inference worker, a thread or a process: loads the pack, says that it is ready, then serves calls.

const port = parentPort;
const setup: WorkerSetup = port ? workerData : JSON.parse(process.argv[2] ?? '{}');
if (!port && !process.send) throw new Error('inference/worker is a worker, not a program.');

function send(message: WorkerMessage, transfer: TransferListItem[] = [], sent: () => void = () => undefined): void {
  if (port) {
    port.postMessage(message, transfer);
    sent();
  } else process.send!(message, undefined, undefined, sent);
}

function listen(serve: (request: WorkerRequest) => void): void {
  if (port)
    port.on('message', (message: WorkerRequest | typeof STOP) => (message === STOP ? process.exit() : serve(message)));
  else process.on('message', (message) => serve(message as WorkerRequest));
}

if (!port) {
  // A terminal sends these to the whole group, and the service plays out what it has accepted before it ends.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
  process.once('disconnect', () => process.exit());
}

if (port) stepBack();

const avatars = new Map<number, Avatar>();

try {
  const engine = await LocalEngine.load(await ModelPack.read(setup.packDirectory), setup);
  listen((request) => {
    serve(engine, request);
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
    else if (typeof value === 'object' && 'tokens' in value) transfer.push(value.tokens.buffer as ArrayBuffer);
    send({ type: 'result', id, value }, transfer);
  } catch (thrown) {
    if (setup.device !== 'cpu' && isDeviceFailure(thrown)) {
      return send({ type: 'broken', reason: (thrown as Error).message }, [], () => process.exit(1));
    }
    send({ type: 'error', id, failure: failure(thrown) });
  }
}

async function perform(engine: LocalEngine, call: WorkerCall) {
  if (call.type === 'open') {
    const avatar = await engine.open(call.portrait, call.options);
    avatars.set(call.avatar, avatar);
    return { warnings: avatar.warnings };
  }
  if (call.type === 'measureCost') return engine.measureCost();
  const avatar = avatars.get(call.avatar);
  if (!avatar) throw new Error(`There is no avatar ${call.avatar} in this worker.`);
  switch (call.type) {
    case 'generateMotion':
      return avatar.generateMotion(call.window, call.dueAt);
    case 'render':
      return avatar.render(call.motion, call.dueAt);
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
