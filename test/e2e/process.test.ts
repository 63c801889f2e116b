import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Api } from '../support/api.js';
import { pcm, wav } from '../support/media.js';
import { samplePortrait, sampleSpeech } from '../support/service.js';

const root = resolve(__dirname, '../..');
let hls: string;
const started: ChildProcess[] = [];

beforeEach(async () => {
  hls = await mkdtemp(join(tmpdir(), 'facecast-process-'));
});

afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  await rm(hls, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

/** The program as a user starts it. */
function start(environment: Record<string, string>): { child: ChildProcess; output: () => string } {
  const child = spawn(process.execPath, ['dist/main.js'], {
    cwd: root,
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', HLS_DIR: hls, INFERENCE_WORKERS: '1', ...environment },
  });
  started.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream!.on('data', (piece) => {
      text += piece;
    });
  }
  return { child, output: () => text };
}

async function refusal(environment: Record<string, string>): Promise<string> {
  const { child, output } = start({ PORT: '0', ...environment });
  const [code] = await once(child, 'close');
  expect(code).toBe(1);
  return output();
}

async function healthy(url: string): Promise<void> {
  for (;;) {
    const ok = await fetch(`${url}/health`).then(
      (response) => response.ok,
      () => false,
    );
    if (ok) return;
    await sleep(100);
  }
}

describe('does not start', () => {
  it('with a setting out of range', async () => {
    expect(await refusal({ PORT: 'http' })).toContain('PORT=http must be a whole number from 0 to 65535');
  });

  it('with a certificate that is not there', async () => {
    const said = await refusal({ TLS_CERT: '/nowhere/certificate.pem', TLS_KEY: '/nowhere/key.pem' });
    expect(said).toContain('TLS_CERT=/nowhere/certificate.pem cannot be read: there is no such file.');
  });

  it('without FFmpeg, and says how to get it', async () => {
    expect(await refusal({ PATH: '/nonexistent' })).toMatch(/ffmpeg/i);
  });

  it('with a model pack that is not there', async () => {
    expect(await refusal({ MODEL_PACK: 'nobody', DEVICE: 'cpu' })).toMatch(/There is no model pack at .*nobody/);
  });

  (existsSync('/dev/nvidiactl') ? it.skip : it)('on CUDA where there is none', async () => {
    expect(await refusal({ DEVICE: 'cuda' })).toMatch(/CUDA/i);
  });
});

it('is not healthy before its model is warm, plays out what it accepted on SIGTERM, and sweeps what a crash leaves', async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const api = new Api(url);
  const speech = wav(await pcm(sampleSpeech, 24000, 2), 24000);
  await mkdir(join(hls, 'not-ours'));

  const crashing = start({ PORT: String(port), DEVICE: 'cpu' });
  while (
    !(await fetch(`${url}/health/live`).then(
      () => true,
      () => false,
    ))
  )
    await sleep(20);
  expect((await api.get('/health')).status).toBe(503);
  await healthy(url);
  const lost = await api.open(samplePortrait);
  expect(existsSync(join(hls, lost))).toBe(true);
  crashing.child.kill('SIGKILL');
  await once(crashing.child, 'close');

  const { child } = start({ PORT: String(port), DEVICE: 'cpu' });
  await healthy(url);
  expect(existsSync(join(hls, lost))).toBe(false);
  expect(existsSync(join(hls, 'not-ours'))).toBe(true);

  const id = await api.open(samplePortrait);
  await api.feed(id, { bytes: speech });
  child.kill('SIGTERM');
  expect((await api.complete(id)).total_frames_generated).toBe(50);
  expect((await api.get(`/hls/${id}/playlist.m3u8`)).body).toContain('#EXT-X-ENDLIST');
  const [code] = await once(child, 'close');
  expect(code).toBe(0);
});
