import { readdir, readFile, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Api } from '../support/api.js';
import { makeImtalkerPack } from '../support/imtalker-pack.js';
import { pcm, wav } from '../support/media.js';
import { samplePortrait, sampleSpeech, startService, type TestService } from '../support/service.js';
import { startTestEngine } from './device.js';

let folder: string;
let service: TestService;
let api: Api;

beforeAll(async () => {
  folder = await makeImtalkerPack();
  service = await startService({ engine: await startTestEngine(folder) });
  api = new Api(service.url);
});

afterAll(async () => {
  await service?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Ids of the processes that this one started to run models. */
async function inferenceProcesses(): Promise<number[]> {
  const found: number[] = [];
  for (const thread of await readdir('/proc/self/task')) {
    const children = await readFile(`/proc/self/task/${thread}/children`, 'utf8').catch(() => '');
    for (const pid of children.trim().split(' ').filter(Boolean).map(Number)) {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      if (command.includes('inference/worker.js')) found.push(pid);
    }
  }
  return found;
}

it('a killed worker ends its sessions with an error; the service is not ready until another is', async () => {
  const speech = wav(await pcm(sampleSpeech, 24000, 8), 24000);
  const ids = [await api.open(samplePortrait, { seed: 1 }), await api.open(samplePortrait, { seed: 2 })];
  // More than is drawn in a moment.
  for (let i = 0; i < 4; i++) for (const id of ids) await api.feed(id, { bytes: speech });
  while ((await api.status(ids[0]!)).body.total_frames_generated === 0) await sleep(5);
  const [victim, ...others] = await inferenceProcesses();
  expect(others).toEqual([]);
  process.kill(victim!, 'SIGKILL');

  while ((await api.get('/health')).status === 200) await sleep(2);
  expect(await api.get('/health')).toMatchObject({ status: 503, body: { code: 'not_ready' } });
  expect((await api.get('/health/live')).status).toBe(200);
  expect(await api.init(samplePortrait)).toMatchObject({ status: 503, body: { code: 'not_ready' } });
  for (const id of ids) {
    while ((await api.status(id)).body.status !== 'error') await sleep(20);
    const { body } = await api.status(id);
    expect(body.error).toMatch(/worker.* died|GPU failed/);
    expect(await api.feed(id, { bytes: speech })).toMatchObject({ status: 409, body: { code: 'session_closed' } });
  }

  while ((await api.get('/health')).status !== 200) await sleep(50);
  const [replacement] = await inferenceProcesses();
  expect(replacement).not.toBe(victim);
  const id = await api.open(samplePortrait, { seed: 1 });
  await api.feed(id, { bytes: speech }, { is_final_chunk: true });
  expect((await api.complete(id, 300)).total_frames_generated).toBe(200);
}, 180000);
