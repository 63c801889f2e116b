import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request as request1 } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { WebSocket } from 'ws';
import { Http2Client } from '../support/http2-client.js';
import { pcm, wav } from '../support/media.js';
import { samplePortrait, sampleSpeech, startService, type TestService } from '../support/service.js';
import { makeCertificate } from '../support/tls.js';

const CHUNKED = '/api/audio-driven/chunked';
const tls = makeCertificate();
const ca = tls.identity.certificate;
let service: TestService;
let client: Http2Client;

beforeAll(async () => {
  service = await startService({ maxSessions: 4, tls: tls.identity });
  client = new Http2Client(service.url, ca);
});
afterAll(async () => {
  await client?.close();
  await service?.close();
  tls.remove();
});

function form(fields: Record<string, string>, file?: { name: string; bytes: Uint8Array }): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.set(name, value);
  if (file) data.set(file.name, new Blob([file.bytes as Uint8Array<ArrayBuffer>]), file.name);
  return data;
}

async function init(fields: Record<string, string>): Promise<string> {
  const image = { name: 'image', bytes: await readFile(samplePortrait) };
  const { status, json } = await client.post(`${CHUNKED}/init`, form({ size: '256', ...fields }, image));
  expect([status, json().status]).toEqual([200, 'success']);
  return json().session_id;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await condition()); waited += 20) {
    if (waited > 50_000) throw new Error('Waited in vain.');
    await sleep(20);
  }
}

it('a whole talk by HTTP/2 on one connection: init, feed, playlist, segments, ranges, download', async () => {
  const id = await init({});
  // The playlist waits for its first segment while the speech comes on the same connection.
  const first = client.get(`/hls/${id}/playlist.m3u8`, { 'accept-encoding': 'gzip' });
  const speech = { name: 'audio_chunk', bytes: wav(await pcm(sampleSpeech, 24000, 2.2), 24000) };
  const fed = await client.post(`${CHUNKED}/feed`, form({ session_id: id, is_final_chunk: 'true' }, speech));
  expect([fed.status, fed.json().status]).toEqual([200, 'success']);

  const playlist = await first;
  expect(playlist.headers).toMatchObject({
    'content-type': 'application/vnd.apple.mpegurl; charset=utf-8',
    'content-encoding': 'gzip',
    'cache-control': 'no-cache',
    'access-control-allow-origin': '*',
  });
  const uri = (name: RegExp) => name.exec(gunzipSync(playlist.body).toString())?.[0];
  const segment = `/hls/${id}/${uri(/^segment.*$/m)}`;
  const whole = await client.get(segment);
  expect(whole.headers).toMatchObject({ 'content-type': 'video/mp4', 'content-length': String(whole.body.length) });
  expect(whole.headers['cache-control']).toContain('immutable');

  await until(async () => (await client.get(`${CHUNKED}/status/${id}`)).json().status === 'complete');
  // Now it is on the disk. From memory a segment comes whole, as RFC 9110 14.2 allows.
  const range = await client.get(segment, { range: 'bytes=100-199' });
  expect([range.status, range.headers['content-range']]).toEqual([206, `bytes 100-199/${whole.body.length}`]);
  expect(range.body).toEqual(whole.body.subarray(100, 200));
  const outside = await client.get(segment, { range: 'bytes=99999999-' });
  expect([outside.status, outside.json().code]).toEqual([416, 'range_not_satisfiable']);
  const download = await client.get(`/api/hls/${id}/download`);
  expect([download.status, download.body.toString('latin1', 4, 8)]).toEqual([200, 'ftyp']);
  const gone = await client.send('DELETE', `${CHUNKED}/session/${id}`);
  expect(gone.status).toBe(200);
});

it('errors by HTTP/2 are the same as by HTTP/1.1', async () => {
  const unknown = await client.get(`${CHUNKED}/status/0b7e8f0e-0000-4000-8000-000000000000`);
  expect([unknown.status, unknown.json().code]).toEqual([404, 'session_not_found']);
  expect(unknown.headers['content-type']).toContain('application/problem+json');
  const method = await client.send('DELETE', `${CHUNKED}/init`);
  expect([method.status, method.json().code, method.headers.allow]).toEqual([405, 'method_not_allowed', 'POST']);
  const missing = await client.post(`${CHUNKED}/init`, new URLSearchParams({ size: '256' }));
  expect([missing.status, missing.json().code]).toEqual([400, 'missing_file']);
  const large = form({}, { name: 'image', bytes: new Uint8Array(21 * 1024 * 1024) });
  const refused = await client.post(`${CHUNKED}/init`, large);
  expect([refused.status, refused.json().code]).toEqual([413, 'image_too_large']);
  const preflight = await client.send('OPTIONS', `${CHUNKED}/init`, { origin: 'https://example.org' });
  expect([preflight.status, preflight.headers['access-control-allow-origin']]).toEqual([204, '*']);
  expect((await client.get('/')).body.toString()).toContain('<!doctype html>');
});

it('a live session by HTTP/2: events arrive as they happen, speech comes by wss, those who leave are let go', async () => {
  const id = await init({ live: 'true' });
  const events = client.open('GET', `${CHUNKED}/events/${id}`);
  let heard = '';
  events.on('data', (piece) => {
    heard += piece;
  });
  events.end();
  const address = `${service.url.replace('https', 'wss')}${CHUNKED}/stream/${id}`;
  const speech = new WebSocket(address, { ca });
  await once(speech, 'open');
  speech.send(await pcm(sampleSpeech, 24000, 1));
  speech.send(JSON.stringify({ type: 'end_of_utterance' }));
  await until(() => heard.includes('event: speech_ended'));
  expect(heard).toContain('event: speech_started');
  speech.close();

  const { stream } = service.registry.get(id);
  const playlist = (await client.get(`/hls/${id}/playlist.m3u8`)).body.toString();
  const newest = Number(/MEDIA-SEQUENCE:(\d+)/.exec(playlist)?.[1]) + (playlist.match(/#EXTINF/g)?.length ?? 0);
  const waiting = client.open('GET', `/hls/${id}/playlist.m3u8?_HLS_msn=${newest + 1}`);
  waiting.end();
  await until(() => stream.waiting === 1);
  waiting.close();
  await until(() => stream.waiting === 0);
  events.close();

  // By HTTP/1.1 on the same port.
  const ended = request1(`${service.url}${CHUNKED}/session/${id}`, { method: 'DELETE', ca, agent: false }).end();
  const [{ statusCode }] = await once(ended, 'response');
  expect(statusCode).toBe(200);
});
