import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp, { type Sharp } from 'sharp';
import { decodeLuma } from '../hls/support/ffmpeg-tools.js';
import { Api } from '../support/api.js';
import { dataPath, hasData } from '../support/data.js';
import { decodedFrames, pcm, wav } from '../support/media.js';
import { samplePortrait, sampleSpeech, startService, type TestService } from '../support/service.js';

let service: TestService;
let api: Api;

beforeAll(async () => {
  service = await startService({ maxSessions: 4 });
  api = new Api(service.url);
});

afterAll(() => service?.close());

/** Four faces and four sounds: real ones where they are, variations of the sample otherwise. */
async function guests(): Promise<{ image: Uint8Array; speech: Buffer }[]> {
  const mirrored = await sharp(samplePortrait).flop().jpeg().toBuffer();
  const grey = await sharp(samplePortrait).greyscale().jpeg().toBuffer();
  const images = hasData
    ? ['source_2.png', 'source_3.jpg', 'source_5.png', 'source_8.png'].map((name) => dataPath(`portraits/${name}`))
    : [samplePortrait, mirrored, grey, samplePortrait];
  const speech = await pcm(hasData ? dataPath('speech/audio_3.wav') : sampleSpeech, 24000, 8);
  const length = 2 * 24000 * 2;
  return Promise.all(
    images.map(async (image, i) => ({
      image: typeof image === 'string' ? await readFile(image) : image,
      speech: wav(speech.subarray(i * length, (i + 1) * length), 24000),
    })),
  );
}

/** What a guest's talk looks and sounds like. */
async function outcome(id: string): Promise<{ frames: string[]; sounds: string[] }> {
  const mp4 = await api.download(id);
  return { frames: await decodedFrames(mp4, 'v'), sounds: await decodedFrames(mp4, 'a') };
}

it('four sessions at once each get their own; one deleted on the way harms no other', async () => {
  const four = await guests();
  const alone = [];
  for (const { image, speech } of four) {
    const id = await api.open(image);
    await api.feed(id, { bytes: speech }, { is_final_chunk: true });
    await api.complete(id);
    alone.push(await outcome(id));
    await api.delete(id);
  }
  expect(new Set(alone.map(({ frames }) => frames[10])).size).toBe(4);

  const ids = await Promise.all(four.map(({ image }) => api.open(image)));
  const refused = await api.init(samplePortrait);
  expect(refused).toMatchObject({ status: 429, body: { code: 'too_many_sessions' } });
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);

  await Promise.all(ids.map((id, i) => api.feed(id, { bytes: four[i]!.speech }, { is_final_chunk: true })));
  expect((await api.delete(ids[1]!)).status).toBe(200);
  expect((await api.status(ids[1]!)).body.code).toBe('session_not_found');
  expect(existsSync(join(service.hlsDirectory, ids[1]!))).toBe(false);

  for (const i of [0, 2, 3]) {
    await api.complete(ids[i]!);
    expect(await outcome(ids[i]!)).toEqual(alone[i]);
  }
  for (const i of [0, 2, 3]) await api.delete(ids[i]!);
});

it('keeps the id the caller chose and refuses it twice', async () => {
  const id = await api.open(samplePortrait, { session_id: 'my-own_session-1' });
  expect(id).toBe('my-own_session-1');
  expect(await api.init(samplePortrait, { session_id: id })).toMatchObject({
    status: 409,
    body: { code: 'session_exists' },
  });
  await api.delete(id);
});

it('says how the session goes', async () => {
  const before = Date.now() / 1000;
  const id = await api.open(samplePortrait);
  expect((await api.status(id)).body).toEqual({
    session_id: id,
    status: 'waiting_for_audio',
    live: false,
    hls_url: `/hls/${id}/playlist.m3u8`,
    multivariant_url: `/hls/${id}/multivariant.m3u8`,
    download_url: `/api/hls/${id}/download`,
    queued_seconds: 0,
    lag_seconds: 0,
    total_frames_generated: 0,
    buffer_samples: 0,
    error: null,
    created_at: expect.closeTo(before, -1),
    uptime_seconds: expect.closeTo(0, -1),
  });
  expect(await api.get(`/api/hls/${id}/download`)).toMatchObject({ status: 409, body: { code: 'not_finished' } });
  await api.delete(id);
});

it('moves head and eyes by pose_style and gaze_style', async () => {
  const quiet = wav(Buffer.alloc(2 * 24000), 24000);
  const frames = [];
  const styles: Record<string, string>[] = [{}, { pose_style: '[0, 0.15, 0]' }, { gaze_style: '[0.8, 0]' }];
  for (const style of styles) {
    const id = await api.open(samplePortrait, { ...style, seed: 7 });
    await api.feed(id, { bytes: quiet }, { is_final_chunk: true });
    await api.complete(id);
    frames.push((await decodedFrames(await api.download(id), 'v'))[12]);
    await api.delete(id);
  }
  expect(new Set(frames).size).toBe(3);
});

it('shows the same picture at the size asked for', async () => {
  const speech = wav(await pcm(sampleSpeech, 24000, 1.2), 24000);
  const pictures = new Map<number, Uint8Array[]>();
  for (const size of [512, 256, 720]) {
    const id = await api.open(samplePortrait, size === 512 ? {} : { size });
    await api.feed(id, { bytes: speech }, { is_final_chunk: true });
    const { total_frames_generated: frames } = await api.complete(id);
    const lumas = decodeLuma(await api.download(id), size * size);
    expect(lumas).toHaveLength(frames);
    pictures.set(size, lumas);
    await api.delete(id);
  }
  const own = sharp(pictures.get(512)![20]!, { raw: { width: 512, height: 512, channels: 1 } });
  for (const size of [256, 720]) {
    const shown = pictures.get(size)![20]!;
    const difference = async (picture: Sharp) => {
      const wanted = await picture.resize(size, size).extractChannel(0).raw().toBuffer();
      return wanted.reduce((sum, value, i) => sum + Math.abs(value - shown[i]!), 0) / wanted.length;
    };
    // Encoded twice, at two sizes; another picture is far from that.
    expect(await difference(own.clone())).toBeLessThan(6);
    expect(await difference(own.clone().flop())).toBeGreaterThan(20);
  }
});

it('warns of what it limits and of what it does not know', async () => {
  const { status, body } = await api.init(samplePortrait, { pose_style: '[0, 0.5, 0]', cfgscale: 3 });
  expect(status).toBe(200);
  expect(body.warnings).toEqual([
    expect.stringMatching(/^pose_style: .* at most 0\.2 rad of pitch, 0\.2 rad of yaw, 0\.1 rad of roll/),
    expect.stringMatching(/^cfgscale: there is no such field/),
  ]);
  await api.delete(body.session_id);
});

it('frees everything on delete: no process, no file, no place taken', async () => {
  const id = await api.open(samplePortrait);
  const { pid } = service.registry.get(id).stream;
  expect(pid).toBeGreaterThan(0);
  await api.delete(id);
  await sleep(100);
  expect(() => process.kill(pid!, 0)).toThrow();
  expect(existsSync(join(service.hlsDirectory, id))).toBe(false);
  expect(service.registry.size).toBe(0);
});
