import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEVICE, root } from './device.js';

let hls: string;
let program: ChildProcess | undefined;

beforeAll(async () => {
  hls = await mkdtemp(join(tmpdir(), 'facecast-gpu-'));
});

afterAll(async () => {
  program?.kill('SIGKILL');
  await rm(hls, { recursive: true, force: true });
});

it('starts on the device, says so, and ends in order', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  program = spawn(process.execPath, ['dist/main.js'], {
    cwd: root,
    // The rest is what finds the GPU's libraries.
    env: { ...process.env, PORT: String(port), HOST: '127.0.0.1', HLS_DIR: hls, DEVICE, LOG_LEVEL: 'info' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let log = '';
  program.stdout!.on('data', (piece) => {
    log += piece;
  });
  let health: Response | undefined;
  while (!health?.ok) {
    if (program.exitCode !== null) throw new Error(`It ended with ${program.exitCode}: ${log}`);
    await sleep(100);
    health = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined);
  }
  expect(await health.json()).toMatchObject({
    device: DEVICE,
    device_reason: `DEVICE=${DEVICE}`,
    model_pack: 'portrait',
  });
  program.kill('SIGTERM');
  const [code] = await once(program, 'close');
  expect(code).toBe(0);
});
