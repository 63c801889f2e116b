import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { WebSocket } from 'ws';
import { FacecastClient } from '../../clients/typescript/facecast-client.js';
import { UrlSigner } from '../../src/http/signed-urls.js';
import type { WorkerEngine } from '../../src/inference/worker-engine.js';
import { pcm, wav } from '../support/media.js';
import {
  samplePortrait,
  sampleSpeech,
  startEngine,
  startService,
  type TestService,
  type TestServiceOptions,
} from '../support/service.js';
import { makeTinyPack } from '../support/tiny-pack.js';

// Who may come in, and how often: the service with keys, signatures, origins and limits.

const KEYS = ['a key for one customer', 'a key for another one'].map((key) => key.replaceAll(' ', '-'));
const CHUNKED = '/api/audio-driven/chunked';
let pack: string;
let portrait: Blob;
let speech: Blob;
let service: TestService;
let lines: string[];

beforeAll(async () => {
  pack = await makeTinyPack();
  portrait = new Blob([new Uint8Array(await readFile(samplePortrait))]);
  speech = new Blob([new Uint8Array(wav(await pcm(sampleSpeech, 24000, 1.5), 24000))], { type: 'audio/wav' });
});
afterAll(() => rm(pack, { recursive: true }));
afterEach(() => service?.close());

async function start(options: TestServiceOptions): Promise<void> {
  lines = [];
  const engine: WorkerEngine = await startEngine({ packDirectory: pack, places: [{ kind: 'thread' }] });
  service = await startService({ engine, log: { write: (line) => lines.push(line) }, ...options });
}

function call(path: string, options: RequestInit = {}): Promise<Response> {
  return fetch(service.url + path, options);
}

function init(fields: Record<string, string> = {}, headers: Record<string, string> = {}): Promise<Response> {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.set(name, value);
  body.set('image', portrait, 'portrait.jpg');
  return call(`${CHUNKED}/init`, { method: 'POST', body, headers });
}

function feed(id: string, headers: Record<string, string> = {}): Promise<Response> {
  const body = new FormData();
  body.set('session_id', id);
  body.set('is_final_chunk', 'true');
  body.set('audio_chunk', speech, 'chunk.wav');
  return call(`${CHUNKED}/feed`, { method: 'POST', body, headers });
}

async function complete(id: string, headers: Record<string, string> = {}): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    const { status } = await (await call(`${CHUNKED}/status/${id}`, { headers })).json();
    if (status === 'complete') return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('not complete');
}

describe('API keys', () => {
  it('open what costs something, and nothing else needs them', async () => {
    await start({ doors: { apiKeys: KEYS } });
    const refused = await init();
    expect(refused.status).toBe(401);
    expect(refused.headers.get('www-authenticate')).toBe('Bearer realm="facecast"');
    expect(await refused.json()).toMatchObject({ code: 'unauthorized', request_id: expect.any(String) });
    expect((await init({}, { 'X-API-Key': 'a-key-of-nobody' })).status).toBe(401);
    for (const path of ['/metrics', `${CHUNKED}/status/abcdefgh`, `${CHUNKED}/nothing`]) {
      expect([path, (await call(path)).status]).toEqual([path, 401]);
    }
    for (const path of ['/health', '/health/live', '/', '/studio.js', '/openapi.json', '/docs/']) {
      expect([path, (await call(path)).status]).toEqual([path, 200]);
    }
    const both: Record<string, string>[] = [{ Authorization: `Bearer ${KEYS[0]}` }, { 'X-API-Key': KEYS[1]! }];
    for (const headers of both) {
      const opened = await init({}, headers);
      expect(opened.status).toBe(200);
      const { session_id: id, hls_url: hls, download_url: download } = await opened.json();
      expect((await feed(id)).status).toBe(401);
      expect((await feed(id, headers)).status).toBe(200);
      await complete(id, headers);
      expect((await call(hls)).status).toBe(200);
      expect((await call(download)).status).toBe(200);
    }
    expect((await call('/metrics', { headers: { 'X-API-Key': KEYS[0]! } })).status).toBe(200);
  });

  it('may be in the address of events and of sockets, and never get into the log', async () => {
    await start({ doors: { apiKeys: KEYS } });
    const {
      session_id: id,
      events_url: events,
      stream_url: stream,
    } = await (await init({ live: 'true' }, { 'X-API-Key': KEYS[0]! })).json();
    const gone = new AbortController();
    expect((await call(events)).status).toBe(401);
    expect((await call(`${events}?api_key=${KEYS[0]}`, { signal: gone.signal })).status).toBe(200);
    gone.abort();
    // Elsewhere an address is no place for it.
    expect((await call(`${CHUNKED}/status/${id}?api_key=${KEYS[0]}`)).status).toBe(401);

    const address = service.url.replace('http', 'ws') + stream;
    const refused = new WebSocket(address);
    refused.on('error', () => {});
    const [, answer] = await once(refused, 'unexpected-response');
    expect(answer.statusCode).toBe(401);
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer/);
    answer.destroy();
    for (const [url, headers] of [
      [`${address}?api_key=${KEYS[1]}`, {}],
      [address, { Authorization: `Bearer ${KEYS[0]}` }],
    ] as const) {
      const socket = new WebSocket(url, { headers });
      const [message] = await once(socket, 'message');
      expect(JSON.parse(message.toString()).type).toBe('ready');
      socket.close();
      await once(socket, 'close');
    }
    expect(lines.join('')).toContain(id);
    for (const key of KEYS) expect(lines.join('')).not.toContain(key);
  });
});

it('the client brings its key, by socket too, and keeps its addresses fresh', async () => {
  await start({ doors: { apiKeys: KEYS, signer: new UrlSigner('a key for signing of 32 letters!', 10) } });
  const stranger = new FacecastClient(service.url, { maxAttempts: 1 });
  await expect(stranger.init(portrait)).rejects.toMatchObject({ code: 'unauthorized', status: 401 });
  const client = new FacecastClient(service.url, { apiKey: () => KEYS[1], WebSocket: WebSocket as never });
  const session = await client.init(portrait, { live: true, record: true });
  const speaking = await session.openSpeech();
  await speaking.finish();
  await session.waitUntilComplete();
  expect((await session.download()).size).toBeGreaterThan(1000);
  const found = client.attach(session.id);
  expect((await fetch(found.hlsUrl)).status).toBe(403);
  await found.status();
  expect((await fetch(found.hlsUrl)).status).toBe(200);
});

it('signed addresses: playlists, segments and the download, each with its signature; without it nothing', async () => {
  const signer = new UrlSigner('a key for signing of 32 letters!', 10);
  await start({ doors: { signer } });
  const { session_id: id, hls_url: hls, multivariant_url: multivariant } = await (await init()).json();
  await feed(id);
  await complete(id);
  for (const path of ['playlist.m3u8', 'multivariant.m3u8', 'init.mp4', 'segment-1.m4s', 'download']) {
    const refused = await call(`/hls/${id}/${path}`);
    expect([path, refused.status, (await refused.json()).code]).toEqual([path, 403, 'invalid_signature']);
  }
  const old = new UrlSigner('a key for signing of 32 letters!', 10).query(id, Date.now() - 3_600_000);
  expect((await call(`/hls/${id}/playlist.m3u8?${old}`)).status).toBe(403);
  // What is not there looks like what nobody may see.
  expect((await call('/hls/abcdefgh/playlist.m3u8')).status).toBe(403);

  const uris: string[] = [];
  for (const playlist of [multivariant, hls]) {
    const text = await (await call(playlist)).text();
    uris.push(...text.split('\n').filter((line) => line && !line.startsWith('#')));
    uris.push(...[...text.matchAll(/URI="([^"]*)"/g)].map(([, uri]) => uri!));
  }
  // One variant, two segments, one init segment.
  expect(uris).toHaveLength(4);
  for (const uri of uris) expect((await call(`/hls/${id}/${uri}`)).status).toBe(200);
  const status = await (await call(`${CHUNKED}/status/${id}`)).json();
  expect((await call(status.download_url)).status).toBe(200);
});

it('only a listed origin is answered with itself', async () => {
  await start({ corsOrigin: 'https://one.example, https://two.example' });
  const allowed = async (origin: string, method = 'GET') => {
    const response = await call('/health', { method, headers: { Origin: origin } });
    expect(response.headers.get('vary')).toMatch(/\bOrigin\b/);
    return response.headers.get('access-control-allow-origin');
  };
  expect(await allowed('https://two.example')).toBe('https://two.example');
  expect(await allowed('https://two.example', 'OPTIONS')).toBe('https://two.example');
  for (const other of ['https://three.example', 'https://one.example.evil.example', 'null', '*']) {
    expect([other, await allowed(other), await allowed(other, 'OPTIONS')]).toEqual([other, null, null]);
  }
});

it('tells browsers what the page may do', async () => {
  await start({});
  const { headers } = await call('/');
  const policy = headers.get('content-security-policy')!;
  // The import map is the one inline script.
  expect(policy).toMatch(/script-src 'self' 'sha256-[^']+';/);
  expect(policy).toContain("worker-src 'self' blob:");
  expect(policy).not.toContain('upgrade-insecure-requests');
  expect(headers.get('permissions-policy')).toContain('camera=(self), microphone=(self)');
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('referrer-policy')).toBe('no-referrer');
  expect(headers.get('cross-origin-resource-policy')).toBe('cross-origin');
  expect(headers.get('strict-transport-security')).toBeNull();
  // The page of the API has a policy of its own.
  expect((await call('/docs/')).headers.get('content-security-policy')).toContain("default-src 'none'");
});

describe('rate limits', () => {
  it('refuse who asks too often, by key and address; streams and health are not counted', async () => {
    await start({ doors: { apiKeys: KEYS, requestsPerMinute: 20, initsPerMinute: 2, trustedProxies: 1 } });
    const from = (address: string, key = KEYS[0]!) => ({ 'X-Forwarded-For': address, 'X-API-Key': key });
    const { hls_url: hls, session_id: id } = await (await init({}, from('192.0.2.1'))).json();
    expect((await init({}, from('192.0.2.1'))).status).toBe(200);
    const refused = await init({}, from('192.0.2.1'));
    expect(await refused.json()).toMatchObject({ status: 429, code: 'rate_limited' });
    const wait = Number(refused.headers.get('retry-after'));
    expect(wait).toBeGreaterThanOrEqual(1);
    expect(wait).toBeLessThanOrEqual(60);
    expect((await init({}, from('192.0.2.2'))).status).toBe(200);
    expect((await init({}, from('192.0.2.1', KEYS[1]))).status).toBe(200);

    const ask = async (headers: Record<string, string>) => (await call(`${CHUNKED}/status/${id}`, { headers })).status;
    const answers: number[] = [];
    for (let i = 0; i < 20; i++) answers.push(await ask(from('192.0.2.1')));
    // Three of the twenty were inits.
    expect(answers.filter((status) => status === 200)).toHaveLength(17);
    expect(answers.slice(17)).toEqual([429, 429, 429]);
    // Keys that are none count as one, so that guessing them is limited.
    const guesses: number[] = [];
    for (let i = 0; i < 22; i++) guesses.push(await ask(from('192.0.2.3', `guess-number-${i}-of-a-key`)));
    expect(guesses).toEqual([...Array(20).fill(401), 429, 429]);
    await feed(id, from('192.0.2.4'));
    for (let i = 0; i < 25; i++) {
      expect((await call(hls, { headers: from('192.0.2.1') })).status).toBe(200);
      expect((await call('/health', { headers: from('192.0.2.1') })).status).toBe(200);
    }
  });

  it('take nobody’s word on an address where no proxy is trusted', async () => {
    await start({ doors: { requestsPerMinute: 3 } });
    const answers: number[] = [];
    for (let i = 0; i < 5; i++) {
      const headers = { 'X-Forwarded-For': `192.0.2.${i}` };
      answers.push((await call(`${CHUNKED}/status/abcdefgh`, { headers })).status);
    }
    expect(answers).toEqual([404, 404, 404, 429, 429]);
  });
});
