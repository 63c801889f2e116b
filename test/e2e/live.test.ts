import { setTimeout as sleep } from 'node:timers/promises';
import { Api } from '../support/api.js';
import { decodedFrames, durations, pcm, sound, wav } from '../support/media.js';
import { samplePortrait, sampleSpeech, startService, type TestService } from '../support/service.js';

const CHUNKED = '/api/audio-driven/chunked';

let service: TestService;
let api: Api;

beforeAll(async () => {
  service = await startService({ maxSessions: 4, maxQueuedSeconds: 20 });
  api = new Api(service.url);
});

afterAll(() => service?.close());

const interrupt = (id: string | undefined) =>
  fetch(`${service.url}${CHUNKED}/interrupt`, {
    method: 'POST',
    body: new URLSearchParams(id === undefined ? {} : { session_id: id }),
  });

interface HeardEvent {
  readonly id: number;
  readonly type: string;
  readonly data: Record<string, unknown>;
}

/** The events of a session from one on, until the server ends them; `undefined` for 204. */
async function eventsOf(id: string, lastId?: number): Promise<HeardEvent[] | undefined> {
  const headers = new Headers(lastId === undefined ? {} : { 'Last-Event-ID': String(lastId) });
  const response = await fetch(`${service.url}${CHUNKED}/events/${id}`, { headers });
  if (response.status === 204) return undefined;
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const events = [];
  for (const block of (await response.text()).split('\n\n')) {
    const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/s, 2) as [string, string]));
    if (!fields.has('data')) continue;
    const data = JSON.parse(fields.get('data')!);
    expect(data.type).toBe(fields.get('event'));
    events.push({ id: Number(fields.get('id')), type: data.type, data });
  }
  return events;
}

async function until(id: string, condition: (status: Record<string, number | string>) => boolean): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (condition((await api.status(id)).body)) return;
    await sleep(50);
  }
  throw new Error('Waited in vain.');
}

it('one live talk: idle, speech, an interruption, speech again, the end; recorded whole', async () => {
  const answer = await api.init(samplePortrait, { live: true, record: true, size: 256 });
  expect(answer.body).toMatchObject({ status: 'success', live: true, chunk_duration: 0.32 });
  expect(answer.body.warnings).toBeUndefined();
  const id: string = answer.body.session_id;
  expect(answer.body.multivariant_url).toBe(`/hls/${id}/multivariant.m3u8`);
  expect(answer.body.stream_url).toBe(`${CHUNKED}/stream/${id}`);
  expect(answer.body.events_url).toBe(`${CHUNKED}/events/${id}`);
  const listening = eventsOf(id);

  await until(id, ({ total_frames_generated: frames }) => Number(frames) > 10);
  expect((await api.status(id)).body).toMatchObject({ status: 'waiting_for_audio', live: true, queued_seconds: 0 });

  const speech = wav(await pcm(sampleSpeech, 24000, 6), 24000);
  const fed = await api.feed(id, { bytes: speech });
  expect(fed.body).toMatchObject({ status: 'success', session_status: 'processing' });
  await until(id, ({ queued_seconds: seconds }) => Number(seconds) > 0 && Number(seconds) < 4);

  const interrupted = await interrupt(id);
  expect(interrupted.status).toBe(200);
  const { dropped_seconds: dropped, ...rest } = await interrupted.json();
  expect(rest).toMatchObject({ status: 'success', session_id: id });
  expect(dropped).toBeGreaterThan(0.5);
  expect(dropped).toBeLessThan(4);
  await until(id, ({ status }) => status === 'waiting_for_audio');

  await api.feed(id, { bytes: speech }, { is_final_chunk: true });
  const { total_frames_generated: frames } = await api.complete(id);
  const events = (await listening)!;
  expect(events.map(({ type }) => type).filter((type) => type !== 'lagging')).toEqual([
    'speech_started',
    'interrupted',
    'speech_ended',
    'speech_started',
    'speech_ended',
    'closed',
  ]);
  expect(events.find(({ type }) => type === 'interrupted')!.data.dropped_seconds).toBe(dropped);
  for (const { data } of events) expect(data.seconds).toBeCloseTo(Number(data.frame) / 25, 6);

  const mp4 = await api.download(id);
  expect(await decodedFrames(mp4, 'v')).toHaveLength(frames);
  const { video, audio } = await durations(mp4);
  expect(Math.abs(video - audio)).toBeLessThan(0.03);
  // The second utterance is heard where its event says, and nothing is heard before the first.
  const heard = await sound(mp4);
  const starts = events.filter(({ type }) => type === 'speech_started').map(({ data }) => Number(data.seconds));
  const loudness = (from: number, to: number) =>
    heard
      .subarray(Math.round(from * 48000), Math.round(to * 48000))
      .reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  expect(loudness(0, starts[0]! - 0.1)).toBeLessThan(0.01);
  expect(loudness(starts[0]!, starts[0]! + 1)).toBeGreaterThan(0.05);
  expect(loudness(starts[1]! - 0.4, starts[1]! - 0.1)).toBeLessThan(0.01);
  expect(loudness(starts[1]!, starts[1]! + 1)).toBeGreaterThan(0.05);

  // A listener who comes back is told what he has missed, and then to stop.
  expect(await eventsOf(id, events[2]!.id)).toEqual(events.slice(3));
  expect(await eventsOf(id, events[events.length - 1]!.id)).toBeUndefined();
  expect((await interrupt(id)).status).toBe(409);
});

it('refuses what does not fit, by name', async () => {
  for (const chunk_duration of [0.1, 2.5]) {
    const { status, body } = await api.init(samplePortrait, { live: true, chunk_duration });
    expect([status, body.code]).toEqual([400, 'invalid_parameter']);
    expect(body.detail).toBe('chunk_duration: must be a number from 0.2 to 2 in a live session.');
  }
  const notBoolean = await api.init(samplePortrait, { live: 'perhaps' });
  expect(notBoolean.body.detail).toMatch(/^live: must be true or false/);

  const { body } = await api.init(samplePortrait, { record: true });
  expect(body.live).toBe(false);
  expect(body.stream_url).toBeUndefined();
  expect(body.warnings).toEqual(['record: a session that is not live is kept whole anyway.']);
  const fed = await interrupt(body.session_id);
  expect([fed.status, (await fed.json()).code]).toEqual([409, 'not_live']);
  await api.delete(body.session_id);

  const nobody = await interrupt('00000000-0000-4000-8000-000000000000');
  expect([nobody.status, (await nobody.json()).code]).toEqual([404, 'session_not_found']);
  const nameless = await interrupt(undefined);
  expect((await nameless.json()).detail).toBe('session_id: must be given.');
  expect((await fetch(`${service.url}${CHUNKED}/events/00000000-0000-4000-8000-000000000000`)).status).toBe(404);
  expect((await fetch(`${service.url}${CHUNKED}/interrupt`)).headers.get('allow')).toBe('POST');

  const file = new FormData();
  file.set('session_id', body.session_id);
  file.set('audio_chunk', new Blob(['x']), 'x.wav');
  const withFile = await fetch(`${service.url}${CHUNKED}/interrupt`, { method: 'POST', body: file });
  expect((await withFile.json()).detail).toBe('audio_chunk: a file is not taken here.');
});

it('speech that would wait too long is refused, and the talk goes on', async () => {
  const id = await api.open(samplePortrait, { live: true });
  const speech = wav(await pcm(sampleSpeech, 16000, 9), 16000);
  await api.feed(id, { bytes: speech });
  await api.feed(id, { bytes: speech });
  const refused = await api.feed(id, { bytes: speech });
  expect([refused.status, refused.body.code]).toEqual([429, 'session_lagging']);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await interrupt(id)).status).toBe(200);
  expect((await api.feed(id, { bytes: speech })).status).toBe(200);
  const closing = eventsOf(id);
  await api.delete(id);
  expect((await closing)!.at(-1)!.type).toBe('closed');
});

it('a live talk that is not recorded keeps its last seconds only', async () => {
  const id = await api.open(samplePortrait, { live: true, size: 256 });
  await until(id, ({ total_frames_generated: frames }) => Number(frames) > 11 * 25);
  await api.feed(id, undefined, { is_final_chunk: true });
  await api.complete(id);
  const { body: playlist } = await api.get(`/hls/${id}/playlist.m3u8`);
  expect(playlist).toContain('#EXT-X-ENDLIST');
  expect(playlist).not.toContain('segment-00001.m4s');
  const download = await api.get(`/api/hls/${id}/download`);
  expect([download.status, download.body.code]).toEqual([404, 'not_found']);
});
