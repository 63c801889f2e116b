import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { AppError } from '../../src/errors.js';
import { attachSpeechSocket, type SpeechSocketOptions, type SpeechSockets } from '../../src/http/speech-socket.js';
import { createLogger } from '../../src/log.js';
import { FakeSession } from '../session/fake-session.js';
import { sampleSpeech } from '../support/service.js';

const RATE = 8000;
const ID = 'a-live-session';
const PATH = `/api/audio-driven/chunked/stream/${ID}`;

class FakeSessions {
  draining = false;
  ready = true;
  readonly all = new Map([[ID, new FakeSession(RATE)]]);

  get(id: string): FakeSession {
    const session = this.all.get(id);
    if (!session) throw new AppError('session_not_found', 'session_id: there is no such session.');
    return session;
  }
}

/** A client by hand: what it is told, and how it ended. */
class Client {
  readonly told: Record<string, unknown>[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  pings = 0;

  constructor(readonly socket: WebSocket) {
    socket.on('message', (text) => this.told.push(JSON.parse(text.toString())));
    socket.on('ping', () => this.pings++);
    socket.on('error', () => {});
    this.closed = once(socket, 'close').then(([code, reason]) => ({ code, reason: String(reason) }));
  }

  async ready(): Promise<this> {
    await this.until('ready');
    return this;
  }

  say(type: string): void {
    this.socket.send(JSON.stringify({ type }));
  }

  of(type: string): Record<string, unknown>[] {
    return this.told.filter((message) => message.type === type);
  }

  async until(type: string, count = 1): Promise<Record<string, unknown>> {
    while (this.of(type).length < count) await sleep(5);
    return this.of(type)[count - 1];
  }
}

let sessions: FakeSessions;
let session: FakeSession;
let server: Server;
let sockets: SpeechSockets;
const clients: Client[] = [];

async function start(options: SpeechSocketOptions = {}, made: Server = createServer()): Promise<void> {
  server = made;
  const registry = () => {
    if (!sessions.ready) throw new AppError('not_ready', 'The model is being loaded.');
    return sessions;
  };
  sockets = attachSpeechSocket(server, registry, createLogger('silent'), options);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
}

const port = () => (server.address() as AddressInfo).port;

function connected(path = PATH, options = {}, protocol = 'ws'): Client {
  const client = new Client(new WebSocket(`${protocol}://127.0.0.1:${port()}${path}`, options));
  clients.push(client);
  return client;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}

/** So many seconds of PCM whose samples count up from 0, over and over. */
function counting(seconds: number): Buffer {
  const bytes = Buffer.alloc(2 * Math.round(seconds * RATE));
  for (let i = 0; i < bytes.length / 2; i++) bytes.writeInt16LE(i % 30_000, 2 * i);
  return bytes;
}

function expectCounting(seconds: number): void {
  expect(session.samples).toBe(seconds * RATE);
  const heard = session.spoken.flatMap((samples) => [...samples].map((sample) => Math.round(sample * 32768)));
  expect(heard.every((value, i) => value === i % 30_000)).toBe(true);
}

beforeEach(() => {
  sessions = new FakeSessions();
  session = sessions.get(ID);
});
afterEach(async () => {
  for (const { socket } of clients.splice(0)) socket.terminate();
  sockets.close();
  server.close();
  await once(server, 'close');
});

describe('sound', () => {
  it('comes to the session sample by sample, whatever the messages', async () => {
    await start();
    const client = await connected().ready();
    expect(client.told).toEqual([{ type: 'ready', session_id: ID, format: 'pcm', audio_sample_rate: RATE }]);
    const bytes = counting(3);
    // Odd lengths, an empty message, one byte alone.
    for (const [from, to] of [
      [0, 333],
      [333, 333],
      [333, 334],
      [334, 10_001],
      [10_001, bytes.length],
    ]) {
      client.socket.send(bytes.subarray(from, to));
    }
    client.say('end_of_utterance');
    await client.until('utterance_ended');
    expectCounting(3);
    expect(session.calls).toEqual([{ call: 'endUtterance', after: 3 * RATE }]);
  });

  it('may be a recording that is being made', async () => {
    await start();
    const client = await connected(`${PATH}?format=webm`).ready();
    expect(client.told[0]).toMatchObject({ format: 'webm' });
    const recording = execFileSync('ffmpeg', [
      ...['-nostdin', '-v', 'error', '-i', sampleSpeech, '-t', '2'],
      ...['-c:a', 'libopus', '-live', '1', '-f', 'webm', '-'],
    ]);
    for (let at = 0; at < recording.length; at += 900) client.socket.send(recording.subarray(at, at + 900));
    client.say('end_of_utterance');
    await client.until('utterance_ended');
    expect(session.rates).toEqual(new Set([48_000]));
    expect(session.samples / 48_000).toBeCloseTo(2, 1);
  });

  it('that is received is heard when the client vanishes, and the session goes on', async () => {
    await start();
    const client = await connected().ready();
    client.socket.send(counting(1));
    await client.until('status');
    client.socket.terminate();
    await until(() => session.calls.length > 0);
    expectCounting(1);
    expect(session.calls).toEqual([{ call: 'endUtterance', after: RATE }]);
    await connected().ready();
  });

  it('that is no recording closes its own socket only', async () => {
    await start();
    const broken = await connected(`${PATH}?format=webm`).ready();
    broken.socket.send(Buffer.alloc(1000, 'no recording'));
    expect(await broken.closed).toMatchObject({ code: 4400, reason: expect.stringContaining('Opus in WebM') });
    expect(broken.of('error')).toEqual([expect.objectContaining({ code: 'invalid_audio' })]);
    const good = await connected().ready();
    good.socket.send(counting(1));
    good.say('end_of_utterance');
    await good.until('utterance_ended');
    expectCounting(1);
  });
});

describe('backpressure', () => {
  it('is told, and nothing is lost: with a client that waits', async () => {
    await start({ maxQueuedSeconds: 4, statusMilliseconds: 50 });
    const client = await connected().ready();
    client.socket.send(counting(9));
    await until(() => client.of('status').some(({ paused }) => paused === true));
    expect(session.queuedSeconds).toBeLessThanOrEqual(2.25);
    expect((await client.until('status')).queued_seconds).toBeGreaterThan(0);
    while (session.samples < 9 * RATE) {
      session.play(0.5);
      await sleep(5);
    }
    session.play(100);
    await until(() => client.of('status').at(-1)!.paused === false);
    expect(client.of('status').at(-1)).toMatchObject({ queued_seconds: 0, session_status: 'waiting_for_audio' });
    expectCounting(9);
  });

  it('stops the reading, and nothing is lost: with a client that does not', async () => {
    await start({ maxQueuedSeconds: 4, pingMilliseconds: 50 });
    const client = await connected().ready();
    const second = counting(1);
    const seconds = 3000;
    let sent = 0;
    for (let i = 0; i < seconds; i++) client.socket.send(second, () => sent++);
    await until(() => client.of('status').some(({ paused }) => paused === true));
    await sleep(500);
    // 48 MB: what the server holds and the system's own buffers are far less.
    expect(sent).toBeLessThan(seconds);
    expect(client.socket.readyState).toBe(WebSocket.OPEN);
    session.queuedSeconds = Number.NEGATIVE_INFINITY;
    await until(() => session.samples >= seconds * RATE);
    expect(session.samples).toBe(seconds * RATE);
    const starts = session.spoken.filter((samples) => samples[0] === 0);
    expect(starts).toHaveLength(seconds);
    expect(client.socket.readyState).toBe(WebSocket.OPEN);
  });

  it('does not hold up an interruption', async () => {
    await start({ maxQueuedSeconds: 4 });
    const client = await connected().ready();
    client.socket.send(counting(20));
    await until(() => client.of('status').some(({ paused }) => paused === true));
    client.say('interrupt');
    const { dropped_seconds: dropped } = await client.until('interrupted');
    expect(dropped).toBeCloseTo(20);
    const before = session.samples;
    client.socket.send(counting(1));
    client.say('end_of_utterance');
    await client.until('utterance_ended');
    expect(session.samples).toBe(before + RATE);
  });

  it('an interruption by somebody else drops what waits here too', async () => {
    await start({ maxQueuedSeconds: 4 });
    const client = await connected().ready();
    client.socket.send(counting(20));
    await until(() => client.of('status').some(({ paused }) => paused === true));
    await session.interrupt();
    await until(() => client.of('status').some(({ paused, queued_seconds }) => !paused && queued_seconds === 0));
    expect(session.samples / RATE).toBeLessThan(3);
  });
});

describe('words', () => {
  it('asks for the status, at any time', async () => {
    await start();
    const client = await connected().ready();
    session.framesGenerated = 75;
    session.queuedSeconds = 1.5;
    client.say('status');
    expect(await client.until('status')).toEqual({
      type: 'status',
      session_status: 'waiting_for_audio',
      queued_seconds: 1.5,
      frames_generated: 75,
      paused: false,
    });
  });

  it('finishes the talk behind the sound, and is told when its last frame is made', async () => {
    await start();
    let lastFrame = () => {};
    session.finishing = new Promise((resolve) => {
      lastFrame = resolve;
    });
    const client = await connected().ready();
    client.socket.send(counting(1));
    client.say('finish');
    client.say('finish');
    await until(() => session.calls.length > 0);
    expect(session.calls).toEqual([{ call: 'finish', after: RATE }]);
    expect(client.socket.readyState).toBe(WebSocket.OPEN);
    lastFrame();
    expect(await client.closed).toEqual({ code: 1000, reason: 'The talk is finished.' });
  });

  it('takes no sound behind the end', async () => {
    await start();
    session.finishing = new Promise(() => {});
    const client = await connected().ready();
    client.say('finish');
    client.socket.send(counting(1));
    expect((await client.closed).code).toBe(4409);
    expect(session.samples).toBe(0);
  });

  it.each(['no JSON', '"interrupt"', 'null', '[]', '{"type":"sing"}', '{}', ''])('refuses %j', async (text) => {
    await start();
    const client = await connected().ready();
    client.socket.send(counting(0.5));
    client.socket.send(text);
    expect(await client.closed).toMatchObject({ code: 4400 });
    expect(client.of('error')).toEqual([
      { type: 'error', code: 'invalid_parameter', detail: expect.stringContaining('{"type":"end_of_utterance"}') },
    ]);
    // What came before is heard.
    await until(() => session.calls.length > 0);
    expectCounting(0.5);
  });

  it('refuses a message of more than a megabyte, and takes one of just that', async () => {
    await start();
    session.queuedSeconds = Number.NEGATIVE_INFINITY;
    const client = await connected().ready();
    client.socket.send(Buffer.alloc(1024 * 1024));
    client.say('end_of_utterance');
    await client.until('utterance_ended');
    expect(session.samples).toBe(512 * 1024);
    client.socket.send(Buffer.alloc(1024 * 1024 + 1));
    expect((await client.closed).code).toBe(1009);
  });
});

describe('a socket is refused', () => {
  async function refused(path?: string) {
    await start();
    const client = connected(path);
    const { code, reason } = await client.closed;
    const [error, ...more] = client.told;
    expect(more).toEqual([]);
    expect(error).toMatchObject({ type: 'error', detail: reason });
    return { closed: code, code: error.code, reason };
  }

  it('to a session that is not there', async () => {
    const path = PATH.replace(ID, 'nobody-is-here');
    expect(await refused(path)).toMatchObject({ closed: 4404, code: 'session_not_found' });
  });

  it('to an id that is none', async () => {
    expect(await refused(PATH.replace(ID, 'x'))).toMatchObject({
      closed: 4400,
      code: 'invalid_parameter',
      reason: expect.stringContaining('session_id'),
    });
  });

  it('in a format that is none', async () => {
    expect(await refused(`${PATH}?format=mp3`)).toMatchObject({
      closed: 4400,
      code: 'invalid_parameter',
      reason: 'format: must be pcm or webm.',
    });
  });

  it('to a session that is not live', async () => {
    session.live = false;
    expect(await refused()).toMatchObject({
      closed: 4409,
      code: 'not_live',
      reason: expect.stringContaining('live=true'),
    });
  });

  it('to a session that is over', async () => {
    session.end('FFmpeg has ended.');
    expect(await refused()).toMatchObject({ closed: 4409, code: 'session_closed', reason: 'FFmpeg has ended.' });
  });

  it('by a service that is shutting down, or not there yet', async () => {
    sessions.draining = true;
    expect(await refused()).toMatchObject({ closed: 1012, code: 'draining' });
    sessions.ready = false;
    const client = connected();
    expect((await client.closed).code).toBe(1013);
  });

  it('while another one has its place, which it then leaves', async () => {
    await start();
    const first = await connected().ready();
    const second = connected();
    expect(await second.closed).toEqual({
      code: 4409,
      reason: 'Another socket brings speech to this session; close that one first.',
    });
    first.socket.close();
    await first.closed;
    await connected().ready();
  });

  it('at any other address, with an answer to its handshake', async () => {
    await start();
    for (const path of ['/', '/api/audio-driven/chunked/stream/', '/hls/x/y', '//', `${PATH}/more`]) {
      const socket = new WebSocket(`ws://127.0.0.1:${port()}${path}`);
      socket.on('error', () => {});
      const [, answer] = await once(socket, 'unexpected-response');
      expect(answer.statusCode).toBe(404);
      const body = JSON.parse((await answer.toArray()).join(''));
      expect(body).toMatchObject({ code: 'not_found', status: 404 });
    }
  });
});

describe('a socket is closed', () => {
  it('when its session is deleted', async () => {
    await start();
    const client = await connected(`${PATH}?format=webm`).ready();
    sessions.all.delete(ID);
    session.end();
    expect((await client.closed).code).toBe(4404);
    expect(client.of('error')).toEqual([expect.objectContaining({ code: 'session_not_found' })]);
  });

  it('when its session ends by itself, or with an error', async () => {
    await start();
    const client = await connected().ready();
    session.end('FFmpeg has ended.');
    expect(await client.closed).toEqual({
      code: 4409,
      reason: 'The session has ended with an error: FFmpeg has ended.',
    });
  });

  it('when the service shuts down', async () => {
    await start({ statusMilliseconds: 20 });
    const client = await connected().ready();
    sessions.draining = true;
    expect((await client.closed).code).toBe(1012);
    expect(client.of('error')).toEqual([expect.objectContaining({ code: 'draining' })]);
  });

  it('by the right name when sound comes to a session that is being finished by the shutdown', async () => {
    await start();
    const client = await connected().ready();
    sessions.draining = true;
    session.closing = true;
    client.socket.send(counting(1));
    expect((await client.closed).code).toBe(1012);
  });

  it('when it answers no pings; one that does stays', async () => {
    await start({ pingMilliseconds: 100 });
    const dead = await connected(PATH, { autoPong: false }).ready();
    expect((await dead.closed).code).toBe(1006);
    const live = await connected().ready();
    await until(() => live.pings >= 5);
    expect(live.socket.readyState).toBe(WebSocket.OPEN);
  });

  it('when it says much and reads nothing', async () => {
    await start();
    const client = await connected().ready();
    client.socket.pause();
    let gone = false;
    client.closed.then(() => {
      gone = true;
    });
    // The system's buffers take some megabytes first.
    while (!gone && client.socket.readyState === WebSocket.OPEN) {
      for (let i = 0; i < 2000; i++) client.say('status');
      await sleep(10);
    }
    expect(client.socket.readyState).not.toBe(WebSocket.OPEN);
  });
});

describe('other requests', () => {
  const answering = () =>
    createServer(async (incoming, response) => {
      const body = (await incoming.toArray()).join('');
      response.end(
        JSON.stringify({ method: incoming.method, url: incoming.url, upgrade: incoming.headers.upgrade, body }),
      );
    });

  it('that offer another protocol are answered without it', async () => {
    await start({}, answering());
    for (const body of ['', 'x'.repeat(300_000)]) {
      const sent = request({
        ...{ port: port(), host: '127.0.0.1', path: '/some/where', method: body ? 'POST' : 'GET' },
        headers: { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAAQAAP__' },
      });
      sent.end(body);
      const [answer] = await once(sent, 'response');
      expect(JSON.parse((await answer.toArray()).join(''))).toEqual({
        method: body ? 'POST' : 'GET',
        url: '/some/where',
        body,
      });
    }
  });

  it('that are broken harm nobody', async () => {
    await start({}, answering());
    const socket = connect(port(), '127.0.0.1');
    socket.end(`GET ${PATH} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n`);
    const answer = (await socket.toArray()).join('');
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    await connected().ready();
  });
});

it('works over TLS beside HTTP/2', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'facecast-tls-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'],
      ...['-subj', '/CN=localhost', '-keyout', key, '-out', cert],
    ],
    { stdio: 'ignore' },
  );
  const secure = createSecureServer({ allowHTTP1: true, key: readFileSync(key), cert: readFileSync(cert) });
  rmSync(folder, { recursive: true });
  await start({}, secure);
  const client = await connected(PATH, { rejectUnauthorized: false }, 'wss').ready();
  client.socket.send(counting(1));
  client.say('end_of_utterance');
  await client.until('utterance_ended');
  expectCounting(1);
});
