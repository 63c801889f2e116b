import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { Agent, request as httpRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { UploadMemory } from '../../src/http/upload-memory.js';
import { Api } from '../support/api.js';
import { pcm, wav } from '../support/media.js';
import { Random } from '../support/random.js';
import { RawClient } from '../support/raw-client.js';
import { samplePortrait, sampleSpeech, startEngine, startService, type TestService } from '../support/service.js';
import { makeTinyPack } from '../support/tiny-pack.js';

// Ten thousand requests that nobody in his right mind would send, the same at every run. The service answers every one or closes
// its connection, tells in its log of every fault of its own, forgets them all, and speaks as before. What escapes as an
// uncaught error or an unhandled rejection fails the test by itself: Jest listens for both.

const CHUNKED = '/api/audio-driven/chunked';
const MIB = 1024 * 1024;
/** Requests that are under way at the same time. */
const AT_A_TIME = 16;

const memory = new UploadMemory(64 * MIB);
const agent = new Agent({ keepAlive: true, maxSockets: AT_A_TIME });
const random = new Random(20261121);
const lines: string[] = [];
const statuses = new Map<string, number>();
let pack: string;
let service: TestService;
let api: Api;
let portrait: Buffer;
let speech: Buffer;
let fed: string;
let live: string;

beforeAll(async () => {
  pack = await makeTinyPack();
  portrait = await readFile(samplePortrait);
  speech = wav(await pcm(sampleSpeech, 24000, 1), 24000);
  const engine = await startEngine({ packDirectory: pack, places: [{ kind: 'thread' }] });
  service = await startService({
    engine,
    maxSessions: 4,
    doors: { uploads: { memory, stallMilliseconds: 500 } },
    log: { write: (line) => line.includes('"level":50') && lines.push(line) },
  });
  api = new Api(service.url);
  fed = await api.open(portrait);
  live = await api.open(portrait, { live: true });
  // Until there is something, it would be waited for.
  await api.get(`/hls/${live}/playlist.m3u8`);
});
afterAll(async () => {
  agent.destroy();
  await service.close();
  await rm(pack, { recursive: true });
});

interface Request {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer;
}

/** Sends what Node's own client is willing to send; that it is not answered is an answer, too. */
async function send({ method = 'GET', path, headers = {}, body }: Request): Promise<void> {
  const request = httpRequest(service.url + path, { method, headers, agent });
  const gone = once(request, 'error').then(([error]) => {
    if (error.message === 'late')
      throw new Error(`No answer within 20 s: ${method} ${path} ${JSON.stringify(headers)}`);
    return undefined;
  });
  const answered = once(request, 'response').then(([response]) => response);
  for (const each of [gone, answered]) each.catch(() => {});
  request.end(body);
  // Nothing here is worth waiting for.
  const late = setTimeout(() => request.destroy(new Error('late')), 20_000);
  const response = await Promise.race([answered, gone]);
  clearTimeout(late);
  if (!response) return note('closed', '');
  const pieces: Buffer[] = [];
  response.on('data', (piece: Buffer) => pieces.push(piece));
  await once(response, 'close');
  note(String(response.statusCode), Buffer.concat(pieces).toString(), String(response.headers['x-request-id']));
}

function note(status: string, body: string, id?: string): void {
  statuses.set(status, (statuses.get(status) ?? 0) + 1);
  if (!status.startsWith('5')) return;
  // 503 is no fault, and neither is Node's own 505. A fault is in the log, under the id that its caller was told.
  const code = body === '' ? '' : JSON.parse(body).code;
  const logged = id !== undefined && lines.some((line) => JSON.parse(line).requestId === id);
  if (!/^(503|505)$/.test(status) && !logged) throw new Error(`Not in the log: ${status} ${id} ${body}`);
  if (!/^(|internal|overloaded|not_ready)$/.test(code)) throw new Error(`Not to be expected: ${body}`);
}

/** Makes so many requests, a few at a time, and does not go on before all are done. */
async function many(count: number, make: () => Promise<void>): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await make();
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
}

/** Whole, odd, empty and hostile. */
const ODD = [
  ...['', ' ', '0', '-1', '1e400', 'NaN', '[]', '{}', 'null', 'true', '[1,2,3]', '[0.1,"a",null]', '[[[[[[]]]]]]', '"'],
  ...['__proto__', 'constructor', '../../etc/passwd', '%00', '\u0000', '\ud800', '𝒳'.repeat(50), 'a'.repeat(5000)],
  ...['<script>', "' OR 1=1", '{{7*7}}', '-0', '9'.repeat(400), '0x10', '１２', '\r\nX: y', '{"__proto__":{"a":1}}'],
];
const FIELDS = ['session_id', 'crop', 'seed', 'nfe', 'cfg_scale', 'chunk_duration', 'audio_sample_rate', 'pose_style'];
const MORE_FIELDS = ['gaze_style', 'size', 'live', 'record', 'is_final', 'chunk_index', '__proto__', 'a[b][c]', 'x[9]'];

function form(
  fields: readonly (readonly [string, string])[],
  file: readonly [string, string, Buffer] | undefined,
): Buffer {
  const parts: Uint8Array[] = fields.map(([name, value]) =>
    Buffer.from(`--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`),
  );
  if (file) {
    const [name, type, bytes] = file;
    const head = `--x\r\nContent-Disposition: form-data; name="${name}"; filename="a"\r\nContent-Type: ${type}\r\n\r\n`;
    parts.push(Buffer.from(head), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('--x--\r\n')]);
}

const MULTIPART = { 'Content-Type': 'multipart/form-data; boundary=x' };

function odd(): Promise<void> {
  const names = [...FIELDS, ...MORE_FIELDS];
  const fields = Array.from({ length: 1 + random.below(5) }, () => [random.of(names), random.of(ODD)] as const);
  const body = form(fields, random.below(2) ? ['image', 'image/png', random.bytes(random.below(40))] : undefined);
  return send({
    method: 'POST',
    path: `${CHUNKED}/${random.of(['init', 'feed', 'interrupt'])}`,
    headers: MULTIPART,
    body,
  });
}

function spoiltForm(): Promise<void> {
  const verb = random.of(['init', 'feed', 'interrupt']);
  const file = verb === 'init' ? 'image' : 'audio_chunk';
  // It is never whole, so that nothing costly is done with it.
  const whole = form(
    [['session_id', random.of([fed, live, 'abcdefgh'])]],
    [file, 'audio/wav', speech.subarray(0, 400)],
  );
  const boundary = random.of(['x', 'x', 'x', '', '"', 'y', 'x'.repeat(100)]);
  const headers = { 'Content-Type': `multipart/form-data; boundary=${boundary}` };
  return send({ method: 'POST', path: `${CHUNKED}/${verb}`, headers, body: random.spoil(whole) });
}

function spoiltText(): Promise<void> {
  const type = random.of([
    'application/json',
    'application/x-www-form-urlencoded',
    'text/plain',
    'multipart/form-data',
    '',
  ]);
  const texts = [
    '{"session_id":"abcdefgh"}',
    'session_id=abcdefgh&is_final_chunk=true',
    'a[b][c][d]=1&a=2',
    '%E0%A4%A=%',
  ];
  const headers: Record<string, string> = type ? { 'Content-Type': type } : {};
  if (random.below(8) === 0) headers['Content-Encoding'] = random.of(['gzip', 'br', 'deflate', 'nonsense']);
  const body = random.spoil(Buffer.from(random.of(texts)));
  return send({ method: 'POST', path: `${CHUNKED}/${random.of(['init', 'feed', 'interrupt'])}`, headers, body });
}

function oddId(): Promise<void> {
  const id = random.below(2)
    ? encodeURIComponent(random.of(ODD).replace('\ud800', '\ufffd'))
    : encodeURI(random.bytes(1 + random.below(20)).toString('latin1'));
  const path = random.of([
    ...[`${CHUNKED}/status/${id}`, `${CHUNKED}/session/${id}`, `${CHUNKED}/events/${id}`, `/hls/${id}/playlist.m3u8`],
    ...[`/api/hls/${id}/download`, `/hls/${fed}/${id}`, `/hls/${id}`, `/${id}`, `/docs/${id}`, `/client/${id}/..`],
    `/hls/${live}/playlist.m3u8?_HLS_msn=${id}&_HLS_part=${id}&_HLS_skip=${id}`,
  ]);
  return send({ method: random.of(['GET', 'GET', 'HEAD', 'DELETE', 'POST', 'PUT', 'OPTIONS', 'PATCH']), path });
}

function oddHeaders(): Promise<void> {
  const headers: Record<string, string> = {};
  const names = [
    'Range',
    'If-Range',
    'If-None-Match',
    'If-Modified-Since',
    'Accept-Encoding',
    'Origin',
    'X-Request-Id',
  ];
  const others = [
    'Authorization',
    'X-Forwarded-For',
    'Last-Event-ID',
    'Access-Control-Request-Headers',
    'Expect',
    'Host',
  ];
  for (let i = 1 + random.below(4); i > 0; i--) {
    const value = random.of([
      ...ODD,
      'bytes=0-',
      'bytes=-1',
      'bytes=9-1',
      'bytes=0-0,2-3,5-',
      'items=1',
      '*',
      'gzip;q=nan',
    ]);
    headers[random.of([...names, ...others])] = value.replace(/[^\x20-\x7e]/g, '?').slice(0, 500);
  }
  const path = random.of([
    '/',
    '/health',
    '/metrics',
    '/openapi.json',
    `/hls/${live}/multivariant.m3u8`,
    '/samples/speech.wav',
  ]);
  return send({ method: random.of(['GET', 'HEAD', 'OPTIONS']), path, headers });
}

/** Bytes that need not be HTTP at all. */
async function rawBytes(): Promise<void> {
  const whole = `${random.of(['GET', 'POST', 'PRI'])} /health HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX: y\r\n\r\nabc`;
  const client = new RawClient(service.url, random.spoil(Buffer.from(whole)));
  client.socket.end();
  const answer = await Promise.race([client.answer(), sleep(1000, '')]);
  client.leave();
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  note(/^HTTP\/1.1 (\d{3})/.exec(head)?.[1] ?? 'closed', body, /^X-Request-Id: (.*)$/m.exec(head)?.[1]);
}

/** A sound file that is none any more; those that FFmpeg is asked about cost a process each. */
function spoiltSound(compressed: boolean): Promise<void> {
  const heads = [
    'ID3\u0003\0\0\0\0\0\0\xff\xfb\x90\0',
    'fLaC\0\0\0\x22',
    'OggS\0\x02',
    '\x1a\x45\xdf\xa3',
    '\0\0\0\x20ftypM4A ',
  ];
  const bytes = compressed
    ? Buffer.concat([Buffer.from(random.of(heads), 'latin1'), random.bytes(random.below(300))])
    : // The header is hit nearly always, and nothing that is left is longer than a moment.
      random.spoil(Buffer.concat([random.spoil(speech.subarray(0, 60)), speech.subarray(60, 200)]));
  const body = form(
    [['session_id', fed]],
    ['audio_chunk', random.of(['audio/wav', 'audio/mpeg', 'audio/L16', 'x']), bytes],
  );
  return send({ method: 'POST', path: `${CHUNKED}/feed`, headers: MULTIPART, body });
}

/** Frames of WebSocket (RFC 6455 5.2) as they should not be. */
async function spoiltFrames(): Promise<void> {
  const head = [
    `GET ${CHUNKED}/stream/${random.of([live, live, fed, 'abcdefgh', '%00'])}?format=${random.of(['pcm', 'webm', 'x'])} HTTP/1.1`,
    ...['Host: a', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
    `Sec-WebSocket-Key: ${random.bytes(random.of([16, 16, 16, 5])).toString('base64')}`,
  ].join('\r\n');
  const text = Buffer.from(
    random.of(['{"type":"status"}', '{"type":', '[]', '{"type":"nothing"}', '{"type":"interrupt"}']),
  );
  // Masked with zeros, so that it can be read here.
  const frame = Buffer.concat([
    Buffer.from([random.of([0x81, 0x82, 0x01, 0x88, 0x89, 0xf3]), 0x80 | text.length, 0, 0, 0, 0]),
    text,
  ]);
  const client = new RawClient(service.url, `${head}\r\n\r\n`);
  client.socket.write(random.spoil(Buffer.concat([frame, frame])));
  client.socket.end();
  await Promise.race([client.answer(), sleep(300)]);
  client.leave();
  note('socket', '');
}

async function settledBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  for (let i = 0; i < 3; i++) {
    collect();
    await sleep(50);
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

it('10,000 malformed requests leave nothing behind', async () => {
  const kinds: [number, () => Promise<void>][] = [
    ...(
      [
        [2000, spoiltForm],
        [1500, odd],
        [1300, spoiltText],
        [1900, oddId],
        [1500, oddHeaders],
      ] as const
    ).map(([count, make]): [number, () => Promise<void>] => [count, make]),
    [750, rawBytes],
    [600, () => spoiltSound(false)],
    [50, () => spoiltSound(true)],
    [400, spoiltFrames],
  ];
  expect(kinds.reduce((sum, [count]) => sum + count, 0)).toBe(10_000);
  // A tenth of each first: what is loaded or compiled once is no leak.
  for (const [count, make] of kinds) await many(count / 10, make);
  const before = await settledBytes();
  for (const [count, make] of kinds) await many(count - count / 10, make);
  agent.destroy();

  expect([...statuses.values()].reduce((sum, count) => sum + count, 0)).toBe(10_000);
  // All kinds of answers were there, so what was sent got further than the first check.
  for (const status of ['200', '400', '404', '405']) expect(statuses.get(status)).toBeGreaterThan(50);
  expect(memory.bytes).toBe(0);
  expect((await settledBytes()) - before).toBeLessThan(40 * MIB);

  // Two sessions are left, and there is room for others.
  expect(service.registry.size).toBe(2);
  const id = await api.open(portrait);
  expect((await api.feed(id, { bytes: speech }, { is_final_chunk: true })).status).toBe(200);
  expect((await api.complete(id)).total_frames_generated).toBe(25);
  for (const old of [fed, live]) expect((await api.status(old)).body.error).toBeNull();
  console.info(`answers: ${JSON.stringify(Object.fromEntries([...statuses].sort()))}`);
});
