// The real service as a process of its own, with a time code in its frames.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const START_MILLISECONDS = 120_000;
const STOP_MILLISECONDS = 10_000;

/**
 * Starts it on a free port of the loopback address and waits until it is ready.
 * @param options `root`: the repository, built; `environment`: settings besides; `onFrame`: told of each frame when it is
 *   handed to the encoder (see `stamp.mjs`); without it nothing is sent between the processes; `quiet`: its warnings are
 *   kept from standard error
 * @returns `{url, pid, stop}`; `stop` is idempotent and resolves when the process is gone
 */
export async function startStampedService({ root, environment = {}, onFrame, quiet = false }) {
  const hls = await mkdtemp(join(tmpdir(), 'facecast-live-'));
  const stamp = pathToFileURL(join(root, 'scripts/live/stamp.mjs')).href;
  const ours = { PORT: '0', HOST: '127.0.0.1', HLS_DIR: hls, LOG_LEVEL: 'info', TELL_FRAMES: onFrame ? 'yes' : '' };
  const child = spawn(process.execPath, ['--import', stamp, join(root, 'dist/main.js')], {
    cwd: root,
    env: { ...process.env, ...ours, ...environment },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  if (onFrame) child.on('message', onFrame);
  const gone = once(child, 'exit');
  const kill = () => child.kill('SIGKILL');
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      const late = setTimeout(kill, STOP_MILLISECONDS);
      await gone;
      clearTimeout(late);
    }
    await rm(hls, { recursive: true, force: true });
  };
  try {
    const port = await untilReady(child, quiet);
    return { url: `http://127.0.0.1:${port}`, pid: child.pid, stop };
  } catch (error) {
    kill();
    await stop();
    throw error;
  }
}

/** Reads the log until the service says that it is ready; warnings go on to standard error. */
function untilReady(child, quiet) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('The service was not ready in time.')), START_MILLISECONDS);
    child.once('exit', (code, signal) => {
      clearTimeout(late);
      reject(new Error(`The service ended before it was ready (${signal ?? `exit code ${code}`}).`));
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const entry = parse(line);
      if (entry?.msg === 'ready') {
        clearTimeout(late);
        resolve(entry.port);
      }
      if (!quiet && (entry === undefined || isWarning(entry))) process.stderr.write(`${line}\n`);
    });
  });
}

function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Levels are pino's numbers or their names. */
function isWarning({ level }) {
  return typeof level === 'number' ? level >= 40 : ['warn', 'error', 'fatal'].includes(level);
}

/** The FFmpeg processes of a service, in the order they were started. Linux only: it reads /proc. */
export async function encoderPids(pid) {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const found = [];
  for (const thread of threads) {
    const text = await readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '');
    for (const child of text.trim().split(' ').filter(Boolean).map(Number)) {
      const name = await readFile(`/proc/${child}/comm`, 'utf8').catch(() => '');
      if (name.trim() === 'ffmpeg') found.push(child);
    }
  }
  return found.sort((a, b) => a - b);
}
