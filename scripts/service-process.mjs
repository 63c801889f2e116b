// The service as a process of its own, as its users start it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const START_MILLISECONDS = 120_000;
const STOP_MILLISECONDS = 10_000;
const ENDING_MILLISECONDS = 500;

/** Levels of the log, as pino numbers them. */
export const LOG_LEVELS = { warn: 40, error: 50, none: Number.POSITIVE_INFINITY };

/**
 * Starts it on a free port of the loopback address, with its sessions in a folder of its own, and waits until it is ready.
 * @param options `root`: the repository, built; `environment`: settings besides those of this process; `preload`: address of a
 *   module that is loaded before it, and has an IPC channel then; `onMessage`: told of what comes by that; `leastLevel`: lines
 *   of its log from that level on go to standard error
 * @returns `{url, pid, hlsDirectory, ended, stop}`; `ended` resolves to a sentence where the process has ended by itself;
 *   `stop` is idempotent and resolves when it is gone
 */
export async function startService({ root, environment = {}, preload, onMessage, leastLevel = LOG_LEVELS.error }) {
  const hlsDirectory = await mkdtemp(join(tmpdir(), 'facecast-service-'));
  // Without TLS: no certificate is for this address.
  const here = { PORT: '0', HOST: '127.0.0.1', TLS_CERT: '', TLS_KEY: '' };
  const ours = { ...here, HLS_DIR: hlsDirectory, LOG_LEVEL: 'info' };
  const child = spawn(process.execPath, [...(preload ? ['--import', preload] : []), join(root, 'dist/main.js')], {
    cwd: root,
    env: { ...process.env, ...ours, ...environment },
    stdio: ['ignore', 'pipe', 'inherit', ...(preload ? ['ipc'] : [])],
  });
  if (onMessage) child.on('message', onMessage);
  const gone = once(child, 'exit');
  let stopping = false;
  const ended = async () => {
    if (stopping) return undefined;
    // A connection that breaks is told before the process's end is.
    await Promise.race([gone, sleep(ENDING_MILLISECONDS)]);
    const how = child.signalCode ?? (child.exitCode === null ? undefined : `exit code ${child.exitCode}`);
    return how && `The service ended in mid-run (${how}).`;
  };
  const stop = async () => {
    stopping = true;
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MILLISECONDS);
      await gone;
      clearTimeout(late);
    }
    await rm(hlsDirectory, { recursive: true, force: true });
  };
  try {
    const port = await untilReady(child, leastLevel);
    return { url: `http://127.0.0.1:${port}`, pid: child.pid, hlsDirectory, ended, stop };
  } catch (error) {
    child.kill('SIGKILL');
    await stop();
    throw error;
  }
}

/** Reads the log until the service says that it is ready. */
function untilReady(child, leastLevel) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('The service was not ready in time.')), START_MILLISECONDS);
    child.once('exit', (code, signal) => {
      clearTimeout(late);
      reject(new Error(`The service ended before it was ready (${signal ?? `exit code ${code}`}).`));
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { level, msg, port } = parse(line);
      if (level >= leastLevel) process.stderr.write(`${line}\n`);
      if (msg !== 'ready') return;
      clearTimeout(late);
      resolve(port);
    });
  });
}

/** What is no line of the log is worth a look. */
function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    return { level: LOG_LEVELS.warn };
  }
}
