import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FacecastClient, type SessionEvent } from '../../clients/typescript/facecast-client.js';
import { ServerSentEventParser } from '../../clients/typescript/server-sent-events.js';
import { sessionEvents } from '../../clients/typescript/session-events.js';
import { Transport } from '../../clients/typescript/transport.js';
import { ManualClock } from './manual-clock.js';

describe('ServerSentEventParser', () => {
  const text = [
    'retry: 1000\n\n',
    'id: 6\n\n',
    ': a comment\n',
    'event: speech_started\nid: 7\ndata: {"a":\ndata:1}\n\n',
    'data\n\n',
    'unknown: field\n\n',
    'id:8\r\ndata: größer\r\n\r\n',
    'data:  two spaces\rid: x\0y\r\r',
    'data: cut off',
  ].join('');
  const events = [
    { id: '6', data: undefined },
    { id: '7', data: '{"a":\n1}' },
    { id: '7', data: '' },
    { id: '8', data: 'größer' },
    { id: '8', data: ' two spaces' },
  ];

  it('gives the same events wherever the bytes are cut', () => {
    const bytes = new TextEncoder().encode(text);
    for (let size = 1; size <= bytes.length; size++) {
      const parser = new ServerSentEventParser();
      const found = [];
      for (let at = 0; at < bytes.length; at += size) found.push(...parser.push(bytes.subarray(at, at + size)));
      expect(found).toEqual(events);
    }
  });
});

describe('events', () => {
  /** What is answered to each connection, one after the other. */
  let answers: ((response: ServerResponse) => void)[];
  let asked: (string | undefined)[];
  let gone: number;
  let server: Server;
  let clock: ManualClock;

  beforeEach(async () => {
    answers = [];
    asked = [];
    gone = 0;
    clock = new ManualClock();
    server = createServer((request, response) => {
      expect(request.url).toBe('/api/audio-driven/chunked/events/abcdefgh');
      asked.push(request.headers['last-event-id'] as string | undefined);
      response.once('close', () => gone++);
      answers.shift()!(response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const session = () => new FacecastClient(url(), { clock, maxAttempts: 3 }).attach('abcdefgh');

  function event(id: number, type: string, more = {}): string {
    const data = { type, at: 1000 + id, frame: 25 * id, seconds: id, ...more };
    return `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
  }

  function begin(response: ServerResponse): ServerResponse {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('retry: 1000\n\n');
    return response;
  }

  async function all(events: AsyncIterable<SessionEvent>): Promise<SessionEvent[]> {
    const found: SessionEvent[] = [];
    for await (const found1 of events) found.push(found1);
    return found;
  }

  it('are told until the session is closed', async () => {
    answers.push((response) => {
      begin(response).write(event(1, 'speech_started') + event(2, 'interrupted', { dropped_seconds: 1.5 }));
      // It is the event that ends it, not the connection.
      response.write(event(3, 'error', { detail: 'FFmpeg' }) + event(4, 'closed'));
    });
    expect(await all(session().events())).toEqual([
      { id: 1, type: 'speech_started', at: 1001, frame: 25, seconds: 1 },
      { id: 2, type: 'interrupted', at: 1002, frame: 50, seconds: 2, droppedSeconds: 1.5 },
      { id: 3, type: 'error', at: 1003, frame: 75, seconds: 3, detail: 'FFmpeg' },
      { id: 4, type: 'closed', at: 1004, frame: 100, seconds: 4 },
    ]);
    expect(asked).toEqual([undefined]);
  });

  it('go on behind the last one after a connection that broke', async () => {
    answers.push(
      (response) => begin(response).end(event(11, 'speech_started')),
      (response) => response.socket!.destroy(),
      (response) => {
        begin(response).write(`${event(12, 'speech_ended')}id: 13\ndata: {"type"`);
        setTimeout(() => response.socket!.destroy(), 20);
      },
      (response) => begin(response).end(event(13, 'closed')),
    );
    const ids = (await all(session().events({ after: 10 }))).map(({ id }) => id);
    expect(ids).toEqual([11, 12, 13]);
    expect(asked).toEqual(['10', '11', '11', '12']);
  });

  it('know where they are before the first, where the service says it', async () => {
    answers.push(
      (response) => begin(response).end('id: 41\n\n'),
      (response) => begin(response).end(event(42, 'closed')),
    );
    expect(await all(session().events())).toHaveLength(1);
    expect(asked).toEqual([undefined, '41']);
  });

  it('end when the service says that there are no more', async () => {
    answers.push((response) => response.writeHead(204).end());
    expect(await all(session().events({ after: 4 }))).toEqual([]);
  });

  it('give up a connection that breaks off again and again', async () => {
    for (let i = 0; i < 4; i++) answers.push((response) => begin(response).end());
    await expect(all(session().events())).rejects.toMatchObject({ code: 'network' });
    expect(asked).toHaveLength(3);
    expect(clock.sleeps).toEqual([0.5, 1]);
  });

  it('come anew from a connection that has died without a word', async () => {
    answers.push(
      (response) => begin(response),
      (response) => begin(response).end(event(1, 'closed')),
    );
    const transport = new Transport(url(), { clock });
    const events = await all(sessionEvents(transport, '/api/audio-driven/chunked/events/abcdefgh', {}, 200));
    expect(events.map(({ type }) => type)).toEqual(['closed']);
    expect(asked).toHaveLength(2);
  });

  it('of no session are refused', async () => {
    answers.push((response) => response.writeHead(404).end('{"code":"session_not_found","detail":"gone"}'));
    await expect(all(session().events())).rejects.toMatchObject({ code: 'session_not_found' });
  });

  it('let go of the connection when nobody listens any more', async () => {
    answers.push((response) => begin(response).write(event(1, 'speech_started')));
    for await (const { type } of session().events()) {
      expect(type).toBe('speech_started');
      break;
    }
    while (gone === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it('end with the reason of their signal', async () => {
    answers.push((response) => begin(response).write(event(1, 'speech_started')));
    const stop = new AbortController();
    const events = session().events({ signal: stop.signal });
    await events.next();
    const next = events.next();
    stop.abort(new Error('enough'));
    await expect(next).rejects.toThrow('enough');
    while (gone === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });
});
