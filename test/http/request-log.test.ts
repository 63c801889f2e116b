import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '../../src/http/app.js';
import type { ServiceHealth } from '../../src/http/health.js';
import { createLogger } from '../../src/log.js';
import { SessionRegistry } from '../../src/session/session-registry.js';
import { samplePortrait } from '../support/service.js';

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

const lines: Line[] = [];
let raw = '';
const logger = createLogger('debug', {
  write: (line) => {
    raw += line;
    lines.push(JSON.parse(line));
  },
});
const description = { pack: 'none', device: 'cpu', deviceReason: '', fps: 25, width: 64, height: 64 } as const;
let failure: unknown;
const registry = new SessionRegistry({
  engine: {
    description: { ...description, contextFrames: 0, batchFrames: 1 },
    ready: true,
    open: async () => {
      throw failure;
    },
    measureCost: async () => 0,
    close: async () => {},
  },
  hlsDirectory: '/nowhere',
  maxSessions: 1,
  maxQueuedSeconds: 10,
  idleMinutes: 1,
  partMilliseconds: 200,
  logger,
});
let server: Server;
let url: string;

beforeAll(async () => {
  const app = createApp({
    service: () => ({ registry }) as unknown as ServiceHealth,
    webDirectory: '/nowhere',
    clientDirectory: '/nowhere',
    playerDirectory: '/nowhere',
    corsOrigin: '*',
    logger,
  });
  server = createServer(app).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/audio-driven/chunked`;
});
afterAll(async () => {
  server.close();
  await registry.drain(0);
});
beforeEach(() => {
  lines.length = 0;
  raw = '';
});

/** The line about a request that is over: written when its connection is done with it. */
async function lineOf(requestId: string, msg: string): Promise<Line> {
  for (let i = 0; i < 500; i++) {
    const found = lines.find((line) => line.requestId === requestId && line.msg === msg);
    if (found) return found;
    await sleep(10);
  }
  throw new Error(`No line "${msg}" about ${requestId}.`);
}

it('takes the caller’s own id over, into the answer and every line', async () => {
  const headers = { 'X-Request-Id': 'Call-7.b_1' };
  const response = await fetch(`${url}/status/some-session?secret=signature`, { headers });
  expect(response.headers.get('x-request-id')).toBe('Call-7.b_1');
  expect((await response.json()).request_id).toBe('Call-7.b_1');
  const refused = await lineOf('Call-7.b_1', 'request refused');
  expect(refused).toMatchObject({ level: 30, code: 'session_not_found', session: 'some-session', method: 'GET' });
  const path = '/api/audio-driven/chunked/status/some-session';
  const over = await lineOf('Call-7.b_1', 'request');
  expect(over).toMatchObject({ level: 20, session: 'some-session', method: 'GET', path, status: 404 });
  expect(over.seconds).toEqual(expect.any(Number));
  expect(raw).not.toContain('signature');
});

it('says at debug only that a probe was told "not yet": it asks again and again', async () => {
  const response = await fetch(new URL('/health', url), { headers: { 'X-Request-Id': 'probe-1' } });
  expect([response.status, (await response.json()).code]).toEqual([503, 'not_ready']);
  expect(await lineOf('probe-1', 'request refused')).toMatchObject({ level: 20, path: '/health' });
});

it.each(['', 'a'.repeat(65), 'two words', 'new"line', 'ü', '../x'])(
  'makes one where the caller’s is %j',
  async (given) => {
    const response = await fetch(`${url}/status/some-session`, { headers: { 'X-Request-Id': encodeURI(given) } });
    const id = response.headers.get('x-request-id')!;
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
    await lineOf(id, 'request');
  },
);

it('takes the longest id that is allowed', async () => {
  const id = 'a'.repeat(64);
  const response = await fetch(`${url}/status/some-session`, { headers: { 'X-Request-Id': id } });
  expect(response.headers.get('x-request-id')).toBe(id);
});

it('says which session could not be opened and why, and none of what was sent', async () => {
  // As libraries do, this error carries what it was about.
  failure = Object.assign(new Error('It broke.', { cause: Object.assign(new Error('Deep.'), { body: 'PORTRAIT' }) }), {
    image: Buffer.from('PORTRAIT'),
    headers: { authorization: 'KEY' },
    code: 'EBROKEN',
  });
  const form = new FormData();
  form.set('image', new Blob([await readFile(samplePortrait)]), 'portrait.jpg');
  form.set('session_id', 'my-session');
  const headers = { Authorization: 'Bearer KEY', 'X-Api-Key': 'KEY', 'X-Request-Id': 'broken-1' };
  const response = await fetch(`${url}/init`, { method: 'POST', body: form, headers });
  expect(response.status).toBe(500);
  const line = await lineOf('broken-1', 'request failed');
  expect(line).toMatchObject({ level: 50, code: 'internal', session: 'my-session' });
  expect(line.cause).toMatchObject({
    type: 'Error',
    code: 'EBROKEN',
    message: 'It broke.',
    cause: { message: 'Deep.' },
  });
  await lineOf('broken-1', 'request');
  expect(raw).not.toMatch(/KEY|PORTRAIT|80,79,82/);
});

it('notes a client that leaves in the middle as gone', async () => {
  const { hostname, port, pathname } = new URL(`${url}/feed`);
  const socket = connect(Number(port), hostname);
  const head = [
    `POST ${pathname} HTTP/1.1`,
    'Host: test',
    'X-Request-Id: leaver',
    'Content-Length: 1000',
    'Content-Type: multipart/form-data; boundary=x',
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n--x\r\nContent-Disposition: form-data; name="session_id"\r\n\r\nmy-`);
  await sleep(100);
  socket.destroy();
  expect(await lineOf('leaver', 'request')).toMatchObject({ status: 'gone', level: 20 });
});
