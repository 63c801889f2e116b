import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Api } from '../support/api.js';
import { decodedFrames, pcm, wav } from '../support/media.js';
import { samplePortrait, sampleSpeech, startService, type TestService } from '../support/service.js';

let speech: Buffer;
let service: TestService;
let api: Api;

beforeAll(async () => {
  speech = wav(await pcm(sampleSpeech, 24000, 3), 24000);
});

afterEach(() => service?.close());

async function start(options: Parameters<typeof startService>[0] = {}): Promise<void> {
  service = await startService(options);
  api = new Api(service.url);
}

it('a killed FFmpeg is replaced: the talk goes on after a discontinuity, and nothing is lost', async () => {
  await start();
  const id = await api.open(samplePortrait);
  await api.feed(id, { bytes: speech });
  while ((await api.status(id)).body.total_frames_generated < 50) await sleep(20);
  expect((await api.get(`/hls/${id}/playlist.m3u8`)).body).toContain('#EXTINF');
  process.kill(service.registry.get(id).stream.pid!, 'SIGKILL');
  await api.feed(id, { bytes: speech }, { is_final_chunk: true });
  expect((await api.complete(id)).total_frames_generated).toBe(150);
  const { body } = await api.get(`/hls/${id}/playlist.m3u8`);
  expect(body.match(/#EXT-X-DISCONTINUITY\n/g)).toHaveLength(1);
  const lasted = [...body.matchAll(/#EXTINF:([\d.]+)/g)].reduce((sum, [, seconds]) => sum + Number(seconds), 0);
  expect(lasted).toBeCloseTo(6, 5);
  expect(await decodedFrames(await api.download(id), 'v')).toHaveLength(150);
});

it('FFmpeg killed again and again ends its own session with an error and no other', async () => {
  await start();
  const [victim, other] = [await api.open(samplePortrait), await api.open(samplePortrait)];
  for (const id of [victim, other]) await api.feed(id, { bytes: speech });
  while ((await api.status(victim)).body.total_frames_generated < 30) await sleep(20);
  // Answered when there is a segment.
  expect((await api.get(`/hls/${victim}/playlist.m3u8`)).body).toContain('#EXTINF');
  while ((await api.status(victim)).body.status !== 'error') {
    const { pid } = service.registry.get(victim).stream;
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await sleep(20);
  }

  const { body } = await api.status(victim);
  expect(body.error).toEqual(expect.stringMatching(/./));
  expect(await api.feed(victim, { bytes: speech })).toMatchObject({ status: 409, body: { code: 'session_closed' } });
  // What was published before stays, and players are told that it ends there.
  expect((await api.get(`/hls/${victim}/playlist.m3u8`)).body).toContain('#EXT-X-ENDLIST');

  await api.feed(other, undefined, { is_final_chunk: true });
  expect((await api.complete(other)).total_frames_generated).toBe(75);
});

it('an idle session goes by itself; one that is watched stays', async () => {
  // Long enough for a slow machine to open two sessions, short enough to wait for.
  await start({ idleMinutes: 5 / 60 });
  const [idle, watched] = [await api.open(samplePortrait), await api.open(samplePortrait)];
  for (const id of [idle, watched]) await api.feed(id, { bytes: speech }, { is_final_chunk: true });
  for (const id of [idle, watched]) await api.complete(id);
  for (let i = 0; i < 40; i++) {
    await sleep(200);
    expect((await api.get(`/hls/${watched}/playlist.m3u8`)).status).toBe(200);
  }
  expect((await api.status(idle)).body.code).toBe('session_not_found');
  expect(existsSync(join(service.hlsDirectory, idle))).toBe(false);
});

it('a draining service finishes what it has accepted and takes nothing new', async () => {
  await start();
  const id = await api.open(samplePortrait);
  await api.feed(id, { bytes: speech });
  const drained = service.registry.drain(30);
  expect(await api.init(samplePortrait)).toMatchObject({ status: 503, body: { code: 'draining' } });
  expect(await api.feed(id, { bytes: speech })).toMatchObject({ status: 503, body: { code: 'draining' } });
  expect(await api.get('/health')).toMatchObject({ status: 503, body: { code: 'draining' } });
  expect((await api.get('/health/live')).status).toBe(200);
  await api.complete(id);
  const { body } = await api.get(`/hls/${id}/playlist.m3u8`);
  expect(body).toContain('#EXT-X-ENDLIST');
  expect(body.match(/#EXTINF/g)).toHaveLength(3);
  await drained;
});

it('deleting a session in the middle of everything leaves nothing and wakes who waits', async () => {
  await start();
  const id = await api.open(samplePortrait);
  const waiting = api.get(`/hls/${id}/playlist.m3u8`);
  const feeding = [api.feed(id, { bytes: speech }), api.feed(id, { bytes: speech }, { chunk_index: 5 })];
  await sleep(50);
  await api.delete(id);
  expect((await waiting).body.code).toBe('session_not_found');
  for (const answer of await Promise.all(feeding)) expect([200, 404]).toContain(answer.status);
  expect(existsSync(join(service.hlsDirectory, id))).toBe(false);
  // The id is free again.
  await api.delete(await api.open(samplePortrait, { session_id: id }));
});

it('a client that vanishes in mid-upload harms nobody', async () => {
  await start();
  const id = await api.open(samplePortrait);
  const gone = new AbortController();
  const upload = fetch(`${service.url}/api/audio-driven/chunked/feed`, {
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=x', 'content-length': '1000000' },
    body: new ReadableStream({
      start: (controller) =>
        controller.enqueue(
          new TextEncoder().encode(`--x\r\nContent-Disposition: form-data; name="session_id"\r\n\r\n${id}`),
        ),
    }),
    duplex: 'half',
    signal: gone.signal,
  } as RequestInit);
  await sleep(100);
  gone.abort();
  await expect(upload).rejects.toThrow();
  await api.feed(id, { bytes: speech }, { is_final_chunk: true });
  expect((await api.complete(id)).total_frames_generated).toBe(75);
});
