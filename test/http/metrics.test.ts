import { readFile, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { Api } from '../support/api.js';
import { MetricsPage } from '../support/metrics-page.js';
import { samplePortrait, sampleSpeech, startService, type TestService } from '../support/service.js';
import { makeTinyPack } from '../support/tiny-pack.js';

let pack: string;
let service: TestService;
let api: Api;

beforeAll(async () => {
  pack = await makeTinyPack();
  service = await startService({ packDirectory: pack, places: [{ kind: 'thread' }], maxSessions: 1 });
  api = new Api(service.url);
});
afterAll(async () => {
  await service?.close();
  await rm(pack, { recursive: true, force: true });
});

const page = () => MetricsPage.read(service.url);

/** Looks until the page is as it will be: requests are counted when their connection is done with them. */
async function pageWhen(ready: (found: MetricsPage) => boolean): Promise<MetricsPage> {
  for (let i = 0; i < 500; i++) {
    const found = await page();
    if (ready(found)) return found;
    await sleep(20);
  }
  throw new Error('The page never became what was waited for.');
}

it('tells that the service is ready and how much it takes on, in a text that is no cache’s to keep', async () => {
  const response = await fetch(`${service.url}/metrics`);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(response.headers.get('cache-control')).toBe('no-store');
  const found = new MetricsPage(await response.text());
  expect([found.value('ready'), found.value('sessions_max'), found.value('inference_workers')]).toEqual([1, 1, 1]);
  expect((await fetch(`${service.url}/metrics`, { method: 'POST' })).status).toBe(405);
});

it('follows a fed talk from chunk to part', async () => {
  const speech = await readFile(sampleSpeech);
  const id = await api.open(samplePortrait, { crop: false });
  const refused = await api.init(samplePortrait);
  expect(refused.body.code).toBe('too_many_sessions');
  expect((await api.feed(id, { bytes: speech }, { is_final_chunk: true })).status).toBe(200);
  const { total_frames_generated: frames } = await api.complete(id);

  const found = await pageWhen((each) => each.value('feed_seconds_count') === 1);
  const labelled = (series: string) => found.value(`${series} kind=fed`);
  expect(labelled('sessions_opened_total')).toBe(1);
  expect(found.value('sessions_opened_total kind=live')).toBe(0);
  expect(found.value('sessions_refused_total code=too_many_sessions')).toBe(1);
  expect(found.value('refusals_total code=too_many_sessions')).toBe(1);
  expect(found.value('sessions kind=fed state=complete')).toBe(1);
  expect(found.value('sessions kind=fed state=processing')).toBe(0);
  expect(labelled('video_seconds_total')).toBeCloseTo(frames / 25, 6);
  expect(labelled('making_seconds_total')).toBeGreaterThan(0);
  expect(found.value('init_seconds_count')).toBe(1);
  expect(found.value('stage_seconds_count stage=decode')).toBe(1);
  // Windows of 1 s, 0.8 s apart; 5 frames a drawing at most; 5 frames a part.
  expect(found.value('stage_seconds_count stage=motion')).toBe(Math.ceil((frames - 25) / 20) + 1);
  expect(found.value('stage_seconds_count stage=encode')).toBe(Math.ceil(frames / 5));
  expect(found.value('stage_seconds_count stage=render')).toBeGreaterThanOrEqual(Math.ceil(frames / 5));
  expect([labelled('speech_queued_seconds'), labelled('encoder_frames_kept')]).toEqual([0, 0]);
  // A part of a talk that has no clock is due at no time.
  expect(found.value('part_lateness_seconds_count')).toBe(0);
  await api.delete(id);
});

it('counts requests by what they were matched with, never by what they asked for', async () => {
  const get = async (path: string, method = 'GET') => (await fetch(`${service.url}${path}`, { method })).status;
  await get('/api/audio-driven/chunked/status/no-such-session');
  await get('/api/audio-driven/chunked/status/another-session');
  await get('/hls/no-such-session/playlist.m3u8');
  await get('/HLS/no-such-session/playlist.m3u8/');
  await get('/nothing/here?x=1');
  await get('/');
  await get('/health', 'DELETE');
  const requests = (route: string, method: string, status: number) =>
    `http_requests_total method=${method} route=${route} status=${status}`;
  const found = await pageWhen((each) => each.value(requests('/health', 'DELETE', 405)) === 1);
  expect(found.value(requests('/api/audio-driven/chunked/status/:sessionId', 'GET', 404))).toBe(2);
  expect(found.value(requests('/hls/:sessionId/playlist.m3u8', 'GET', 404))).toBe(2);
  expect(found.value(requests('none', 'GET', 404))).toBe(1);
  expect(found.value(requests('static', 'GET', 200))).toBe(1);
  expect(found.series.filter((each) => /no-such-session|another-session|nothing/.test(each))).toEqual([]);
});

it('measures a live talk: lateness, sound against picture, sockets, and requests that wait', async () => {
  const id = await api.open(samplePortrait, { crop: false, live: true });
  const socket = new WebSocket(`${service.url.replace('http', 'ws')}/api/audio-driven/chunked/stream/${id}`);
  await new Promise((resolve) => socket.once('message', resolve));
  const left = new AbortController();
  await (await fetch(`${service.url}/hls/${id}/playlist.m3u8`)).text();
  const msn = service.registry.get(id).stream.segments + 2;
  const waiting = fetch(`${service.url}/hls/${id}/playlist.m3u8?_HLS_msn=${msn}`, { signal: left.signal });
  const found = await pageWhen((each) => each.value('waiting_requests') === 1);
  left.abort();
  await expect(waiting).rejects.toThrow();

  expect(found.value('speech_sockets')).toBe(1);
  expect(found.value('sessions kind=live state=waiting_for_audio')).toBe(1);
  expect(found.value('part_lateness_seconds_count')).toBeGreaterThanOrEqual(5);
  const offset = found.value('audio_video_offset_seconds kind=live')!;
  expect(offset).toBeGreaterThanOrEqual(0);
  expect(offset).toBeLessThan(1024 / 48000);
  // A frame is written every 40 ms, and some are always on their way.
  expect(found.value('video_seconds_total kind=live')).toBeGreaterThan(0.9);

  socket.close();
  await pageWhen((each) => each.value('speech_sockets') === 0 && each.value('waiting_requests') === 0);
  const gone = 'http_requests_total method=GET route=/hls/:sessionId/playlist.m3u8 status=gone';
  expect((await page()).value(gone)).toBe(1);
  await api.delete(id);
});

it('names metrics as Prometheus wants them, and no session', async () => {
  const found = await page();
  expect(found.names.length).toBeGreaterThan(20);
  for (const name of found.names) expect(name).toMatch(/^facecast_[a-z_]+$/);
  for (const series of found.series) expect(series).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}/);
  expect(found.series.length).toBeLessThan(400);
});
