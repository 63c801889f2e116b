import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = resolve(__dirname, '../..');

/** Makes a program the first process of a namespace of its own, as in a container without an init. */
const AS_FIRST_PROCESS = ['unshare', '--pid', '--fork', '--kill-child'];

/** Not everybody may do that. */
export const itAsFirstProcess =
  spawnSync(AS_FIRST_PROCESS[0]!, [...AS_FIRST_PROCESS.slice(1), 'true']).status === 0 ? it : it.skip;

/**
 * The program as a user starts it, with one inference worker on the loopback address.
 * @returns child: where it is a first process, that which waits for it
 */
export function startProgram(
  hlsDirectory: string,
  environment: Record<string, string>,
  { firstProcess = false } = {},
): { child: ChildProcess; output: () => string } {
  const [command, ...rest] = [...(firstProcess ? AS_FIRST_PROCESS : []), process.execPath, 'dist/main.js'];
  const child = spawn(command!, rest, {
    cwd: root,
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', HLS_DIR: hlsDirectory, INFERENCE_WORKERS: '1', ...environment },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream!.on('data', (piece) => {
      text += piece;
    });
  }
  return { child, output: () => text };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

/** Waits until the service takes sessions. */
export async function healthy(url: string): Promise<void> {
  for (;;) {
    const ok = await fetch(`${url}/health`).then(
      (response) => response.ok,
      () => false,
    );
    if (ok) return;
    await sleep(100);
  }
}
