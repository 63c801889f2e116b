import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket } from 'ws';
import { Origins } from '../../src/http/origins.js';
import { clientAddress } from '../../src/http/rate-limits.js';
import { SpeechDoor, type SpeechDoorOptions } from '../../src/http/speech-door.js';
import { attachSpeechSocket, type SpeechSockets } from '../../src/http/speech-socket.js';
import { createLogger } from '../../src/log.js';
import { Instruments } from '../../src/metrics/instruments.js';
import { FakeSession } from '../session/fake-session.js';

const KEY = 'a-key-for-one-customer';
const PATH = '/api/audio-driven/chunked/stream/a-live-session';
const LIST = 'https://one.example, http://two.example:8080';

describe('Origins', () => {
  it.each([
    ['a listed page', 'https://one.example', 'service.example', true],
    ['another scheme of a listed one', 'http://one.example', 'service.example', false],
    ['a foreign page', 'https://evil.example', 'service.example', false],
    ['a page that begins like a listed one', 'https://one.example.evil.example', 'service.example', false],
    ['a page without an origin, such as a file', 'null', 'service.example', false],
    ['what is no page', undefined, 'service.example', true],
    ['its own page', 'http://service.example:9999', 'service.example:9999', true],
    ['its own page behind a proxy that speaks TLS', 'https://service.example', 'service.example', true],
    ['its own page, the usual port named', 'https://service.example', 'service.example:443', true],
    ['a page of another port of its host', 'http://service.example:8000', 'service.example:9999', false],
    ['any page, where there is no host', 'https://evil.example', undefined, false],
    ['a host that cannot be one', 'https://evil.example', 'a b', false],
  ])('%s', (_, origin, host, admitted) => {
    expect(new Origins(LIST).admit(origin, host)).toBe(admitted);
  });

  it('are all where none is listed', () => {
    expect(new Origins('*').admit('https://evil.example', 'service.example')).toBe(true);
  });
});

it.each([
  [0, '198.51.100.1'],
  [1, '192.0.2.2'],
  [2, '192.0.2.1'],
  [3, '192.0.2.1'],
])('with %i proxies the address is %s', (proxies, expected) => {
  const request = { headers: { 'x-forwarded-for': '192.0.2.1, 192.0.2.2' }, socket: { remoteAddress: '198.51.100.1' } };
  expect(clientAddress(request as unknown as IncomingMessage, proxies)).toBe(expected);
});

describe('a handshake', () => {
  const instruments = new Instruments();
  let sockets: SpeechSockets;
  const server = createServer();
  let lines: string[];

  const session = new FakeSession(8000);
  async function start(options: SpeechDoorOptions): Promise<void> {
    lines = [];
    const logger = createLogger('info', { write: (line) => lines.push(line) });
    const door = new SpeechDoor(options);
    sockets = attachSpeechSocket(server, () => ({ draining: false, get: () => session }), logger, {
      instruments,
      door,
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }

  afterEach(async () => {
    sockets.close();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    server.removeAllListeners('upgrade');
  });

  /** What a client is answered: `ready`, the code of a message of the socket, or status and code of a refused handshake. */
  async function answer(headers: Record<string, string> = {}): Promise<string> {
    const { port } = server.address() as AddressInfo;
    const socket = new WebSocket(`ws://127.0.0.1:${port}${PATH}`, { headers });
    const opened = once(socket, 'message').then(async ([text]) => {
      const { type, code = type } = JSON.parse(String(text));
      socket.close();
      await once(socket, 'close');
      return code as string;
    });
    const refused = new Promise<string>((resolve) => {
      socket.on('error', () => {});
      socket.on('unexpected-response', (_request, response) => {
        let body = '';
        response.on('data', (piece: Buffer) => {
          body += piece;
        });
        response.on('end', () => {
          const { status, code } = JSON.parse(body);
          const wait = response.headers['retry-after'];
          resolve(`${status === response.statusCode ? status : 'odd'} ${code}${wait === undefined ? '' : ' later'}`);
        });
      });
    });
    return Promise.race([opened.catch(() => refused), refused]);
  }

  const origin = (value: string) => ({ Origin: value });

  it('of a page of another site is refused where origins are listed, and told of', async () => {
    await start({ corsOrigin: LIST });
    expect(await answer(origin('https://evil.example'))).toBe('403 foreign_origin');
    expect(await answer(origin('https://one.example'))).toBe('ready');
    const { port } = server.address() as AddressInfo;
    expect(await answer(origin(`http://127.0.0.1:${port}`))).toBe('ready');
    expect(await answer()).toBe('ready');
    const { values } = await instruments.refusals.get();
    expect(values.find(({ labels }) => labels.code === 'foreign_origin')?.value).toBe(1);
    expect(lines.filter((line) => line.includes('"code":"foreign_origin"'))).toHaveLength(1);
  });

  it('is anybody’s where none is listed', async () => {
    await start({});
    expect(await answer(origin('https://evil.example'))).toBe('ready');
  });

  it('is counted by key and address, wrong keys together', async () => {
    await start({ apiKeys: [KEY], requestsPerMinute: 2, trustedProxies: 1 });
    const from = (address: string, key: string) => ({ 'X-Forwarded-For': address, 'X-API-Key': key });
    expect(await answer(from('192.0.2.1', KEY))).toBe('ready');
    expect(await answer(from('192.0.2.1', KEY))).toBe('ready');
    expect(await answer(from('192.0.2.1', KEY))).toBe('429 rate_limited later');
    expect(await answer(from('192.0.2.2', KEY))).toBe('ready');
    expect(await answer(from('192.0.2.1', 'one-guess-of-a-key'))).toBe('401 unauthorized');
    expect(await answer(from('192.0.2.1', 'another-guess-of-a-key'))).toBe('401 unauthorized');
    expect(await answer(from('192.0.2.1', 'a-third-guess-of-a-key'))).toBe('429 rate_limited later');
  });
});
