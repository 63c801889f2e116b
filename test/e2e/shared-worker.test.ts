import { readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { Api } from '../support/api.js';
import { makeImtalkerPack } from '../support/imtalker-pack.js';
import { decodedFrames, pcm, wav } from '../support/media.js';
import { samplePortrait, sampleSpeech, startService, type TestService } from '../support/service.js';

// A pack with the tensors of an IMTalker export, small, as a GPU runs it: in one process that serves all sessions and
// draws frames of several in one run. Only the device is the CPU.

const SECONDS = 3;
let packDirectory: string;
let service: TestService;
let api: Api;
let speech: Buffer;
let mirrored: Buffer;

beforeAll(async () => {
  packDirectory = await makeImtalkerPack();
  service = await startService({ packDirectory, batchFrames: 8, places: [{ kind: 'process' }] });
  api = new Api(service.url);
  speech = wav(await pcm(sampleSpeech, 24000, SECONDS), 24000);
  mirrored = await sharp(samplePortrait).flop().negate().png().toBuffer();
});

afterAll(async () => {
  await service?.close();
  await rm(packDirectory, { recursive: true, force: true });
});

/** Hashes of a whole talk's frames. */
async function talk(portrait: string | Buffer, seed: number): Promise<string[]> {
  const id = await api.open(portrait, { seed, crop: false });
  await api.feed(id, { bytes: speech }, { is_final_chunk: true });
  expect((await api.complete(id)).total_frames_generated).toBe(25 * SECONDS);
  const frames = await decodedFrames(await api.download(id), 'v');
  await api.delete(id);
  return frames;
}

it('draws each of several talks as if it were alone', async () => {
  const alone = await talk(samplePortrait, 1);
  const [same, otherPortrait, otherSeed] = await Promise.all([
    talk(samplePortrait, 1),
    talk(mirrored, 1),
    talk(samplePortrait, 2),
  ]);
  expect(same).toEqual(alone);
  for (const other of [otherPortrait, otherSeed]) {
    expect(other).toHaveLength(alone.length);
    // The odd frame may look alike to the encoder.
    expect(other.filter((frame, i) => frame === alone[i]).length).toBeLessThan(alone.length / 10);
  }
});

it('a killed worker process is replaced; its sessions pause and go on', async () => {
  const alone = await talk(samplePortrait, 1);
  const id = await api.open(samplePortrait, { crop: false, seed: 1 });
  const idle = await api.open(samplePortrait, { crop: false, seed: 1 });
  process.kill(workerProcess(), 'SIGKILL');
  while (service.engine.ready) await sleep(5);
  expect(await api.get('/health')).toMatchObject({ status: 503, body: { code: 'not_ready' } });
  expect(await api.init(samplePortrait)).toMatchObject({ status: 503, body: { code: 'not_ready' } });
  // Fed while there is no worker at all.
  expect(await api.feed(id, { bytes: speech }, { is_final_chunk: true })).toMatchObject({ status: 200 });
  await api.complete(id);
  expect(await decodedFrames(await api.download(id), 'v')).toEqual(alone);
  expect((await api.get('/health')).body).toMatchObject({ status: 'healthy', model_pack: 'imtalker-small' });

  await api.feed(idle, { bytes: speech });
  while ((await api.status(idle)).body.status !== 'processing') await sleep(1);
  process.kill(workerProcess(), 'SIGKILL');
  await api.feed(idle, undefined, { is_final_chunk: true });
  const { total_frames_generated: frames } = await api.complete(idle);
  expect(frames).toBe(alone.length);
});

/** The inference worker among this process' children. */
function workerProcess(): number {
  const found = readdirSync('/proc').find((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const isChild = readFileSync(`/proc/${entry}/status`, 'utf8').includes(`PPid:\t${process.pid}\n`);
      return isChild && readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes('inference/worker.js');
    } catch {
      // It ended while we looked.
      return false;
    }
  });
  return Number(found);
}
