import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type TransferListItem, Worker } from 'node:worker_threads';
import { STOP, type WorkerMessage, type WorkerRequest, type WorkerSetup } from './worker-protocol.js';

/** Where a worker runs, and how one speaks with it. */
export interface WorkerHost {
  /** @param transfer buffers that are handed over rather than copied, where the place allows it */
  send(request: WorkerRequest, transfer: TransferListItem[]): void;
  onMessage(listener: (message: WorkerMessage) => void): void;
  /** Settles, with the reason, when the worker is gone. */
  readonly exited: Promise<Error>;
  /** Resolves when the worker is gone, or a thread has not ended within 5 s; `livingThreads` counts it then. */
  kill(): Promise<void>;
  /** It hangs: it is ended as far as that can be done without harm, and not waited for. */
  abandon(): void;
}

/** How long a thread may take to end by itself: what it has begun to run is run to its end. */
const STOP_MILLISECONDS = 5000;

const threads = new Set<Worker>();

/**
 * Worker threads of this process that have not ended. While there is one, `process.exit` is no way out: it waits for all threads, for
 * ever where one hangs in native code, and ends in an abort where one is in the middle of a run.
 */
export function livingThreads(): number {
  return threads.size;
}

/** A worker thread: buffers change hands without being copied. For the CPU. */
export function startThread(script: URL | string, setup: WorkerSetup): WorkerHost {
  const worker = new Worker(script, { workerData: setup });
  threads.add(worker);
  worker.once('exit', () => threads.delete(worker));
  const exited = new Promise<Error>((resolve) => {
    worker.once('error', resolve);
    worker.once('exit', (code) => resolve(new Error(`exit code ${code}`)));
  });
  return {
    send: (request, transfer) => worker.postMessage(request, transfer),
    onMessage: (listener) => worker.on('message', listener),
    exited,
    kill: async () => {
      // Not terminated: in the middle of a run ONNX Runtime's addon throws then where nobody can catch it, and the whole service dies.
      worker.postMessage(STOP);
      await Promise.race([exited, sleep(STOP_MILLISECONDS, undefined, { ref: false })]);
      worker.unref();
    },
    // Not terminated, for the same reason: it ends when its run does. Until then it has its core.
    abandon: () => {
      worker.postMessage(STOP);
      worker.unref();
    },
  };
}

/**
 * A worker process. For a GPU: an error of CUDA, such as an illegal memory access, stays with the process it happened in
 * (CUDA Runtime API, cudaErrorIllegalAddress: "the process must be terminated and relaunched"), and a crash in the driver
 * must not take the service with it.
 * @param environment variables that differ from the service's own
 */
export function startProcess(
  script: URL | string,
  setup: WorkerSetup,
  environment: Readonly<Record<string, string>>,
): WorkerHost {
  const path = script instanceof URL ? fileURLToPath(script) : script;
  const child: ChildProcess = fork(path, [JSON.stringify(setup)], {
    serialization: 'advanced',
    env: { ...process.env, ...environment },
  });
  const exited = new Promise<Error>((resolve) => {
    child.once('error', (error) => {
      // Also told when it could not be killed; then it lives.
      if (child.pid === undefined) resolve(error);
    });
    child.once('exit', (code, signal) => resolve(new Error(signal ? `killed by ${signal}` : `exit code ${code}`)));
  });
  return {
    send: (request) => {
      // A process that is gone answers nothing; `exited` tells.
      child.send(request, () => undefined);
    },
    onMessage: (listener) => child.on('message', (message) => listener(message as WorkerMessage)),
    exited,
    kill: async () => {
      // It holds nothing that needs an orderly end, and the driver frees what is on the device.
      child.kill('SIGKILL');
      await exited;
    },
    abandon: () => {
      child.kill('SIGKILL');
    },
  };
}
