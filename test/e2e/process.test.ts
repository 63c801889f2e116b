import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Api } from '../support/api.js';
import { pcm, wav } from '../support/media.js';
import { freePort, healthy, itAsFirstProcess, startProgram } from '../support/program.js';
import { samplePortrait, sampleSpeech } from '../support/service.js';

let hls: string;
const started: ChildProcess[] = [];

beforeEach(async () => {
  hls = await mkdtemp(join(tmpdir(), 'facecast-process-'));
});

afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  await rm(hls, { recursive: true, force: true });
});

function start(environment: Record<string, string>, how = {}): ReturnType<typeof startProgram> {
  const program = startProgram(hls, environment, how);
  started.push(program.child);
  return program;
}

async function refusal(environment: Record<string, string>): Promise<string> {
  const { child, output } = start({ PORT: '0', ...environment });
  const [code] = await once(child, 'close');
  expect(code).toBe(1);
  return output();
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

it('does not start on the sessions of a service that runs', async () => {
  const port = await freePort();
  start({ PORT: String(port), DEVICE: 'cpu', MAX_SESSIONS: '1' });
  await healthy(`http://127.0.0.1:${port}`);
  expect(await refusal({ DEVICE: 'cpu' })).toContain(`HLS_DIR=${hls} is used by another service that runs`);
});

it('can be stopped while it loads its model', async () => {
  await mkdir(join(hls, 'half-made'));
  await writeFile(join(hls, 'half-made', '.facecast-session'), '4194303');
  const { child, output } = start({ PORT: '0', DEVICE: 'cpu' });
  while (!output().includes('removed what an earlier service has left')) await sleep(20);
  child.kill('SIGTERM');
  const [code, signal] = await once(child, 'close');
  // By the signal, or, where the model was there already, by itself: not by an abort. The last lines of the log may be lost then.
  expect([code, signal]).toEqual(code === null ? [null, 'SIGTERM'] : [0, null]);
});

itAsFirstProcess('can be stopped while it times the encoder, also as the first process of a container', async () => {
  const { PATH } = process.env;
  const programs = join(hls, 'programs');
  const timing = join(hls, 'timing');
  await mkdir(programs);
  // At the start only the trial encodes.
  const script = `#!/bin/sh\ncase "$*" in *libx264*) touch '${timing}';; esac\nPATH='${PATH}' exec ffmpeg "$@"\n`;
  await writeFile(join(programs, 'ffmpeg'), script, { mode: 0o755 });
  const { child, output } = start({ PORT: '0', DEVICE: 'cpu', PATH: `${programs}:${PATH}` }, { firstProcess: true });
  while (!existsSync(timing)) await sleep(20);
  const first = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
  process.kill(Number(first), 'SIGTERM');
  const [code, signal] = await once(child, 'close');
  expect([code, signal]).toEqual([0, null]);
  expect(output()).toContain('"msg":"stopped"');
  expect(output()).not.toContain('"msg":"ready"');
});

it('is not healthy before its model is warm, plays out what it accepted on SIGTERM, and sweeps what has no session', async () => {
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
  crashing.child.kill('SIGKILL');
  await once(crashing.child, 'close');
  // A session that was being opened when the service died.
  await mkdir(join(hls, 'half-made'));
  await writeFile(join(hls, 'half-made', '.facecast-session'), String(crashing.child.pid));

  const { child } = start({ PORT: String(port), DEVICE: 'cpu' });
  await healthy(url);
  expect(existsSync(join(hls, 'half-made'))).toBe(false);
  expect(existsSync(join(hls, 'not-ours'))).toBe(true);

  const id = await api.open(samplePortrait);
  await api.feed(id, { bytes: speech });
  child.kill('SIGTERM');
  expect((await api.complete(id)).total_frames_generated).toBe(50);
  expect((await api.get(`/hls/${id}/playlist.m3u8`)).body).toContain('#EXT-X-ENDLIST');
  const [code] = await once(child, 'close');
  expect(code).toBe(0);
});
