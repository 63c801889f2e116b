import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import express from 'express';
import { sendEvents } from '../../src/http/session-events.js';
import type { Session } from '../../src/session/session.js';
import { FakeSession } from '../session/fake-session.js';

let session: FakeSession;
let server: Server;
let url: string;

beforeEach(async () => {
  session = new FakeSession();
  const app = express();
  app.get('/events', (request, response) => sendEvents(session as unknown as Session, request, response));
  app.get('/never', () => {});
  server = createServer(app).listen(0);
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** Types of the events that a listener is told until the session is over. */
async function told(lastEventId?: string): Promise<string[]> {
  const response = await fetch(url, { headers: lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId } });
  return [...(await response.text()).matchAll(/^event: (\w+)$/gm)].map(([, type]) => type!);
}

it('tells what came behind the last event that was heard', async () => {
  session.events.tell('speech_started', 1);
  session.events.tell('speech_ended', 2);
  session.events.tell('closed', 3);
  session.over = true;
  expect(await told('1')).toEqual(['speech_ended', 'closed']);
  expect(await told()).toEqual(['speech_started', 'speech_ended', 'closed']);
  expect((await fetch(url, { headers: { 'Last-Event-ID': '3' } })).status).toBe(204);
});

it('tells all to a listener who comes from before a restart of the service', async () => {
  session.events.tell('closed', 3);
  session.over = true;
  expect(await told('57')).toEqual(['closed']);
});

it('ends with the session, whatever is told behind that, and though its answer is not read yet', async () => {
  const failures: Error[] = [];
  let requests = 0;
  server.on('request', (_request, response) => {
    requests++;
    response.on('error', (error) => failures.push(error));
  });
  // An answer behind another one on the same connection is kept until that is there.
  const client = connect(Number(new URL(url).port), '127.0.0.1');
  client.write('GET /never HTTP/1.1\r\nHost: x\r\n\r\nGET /events HTTP/1.1\r\nHost: x\r\n\r\n');
  client.on('error', () => undefined);
  while (requests < 2) await sleep(10);
  session.events.tell('closed', 1);
  session.events.tell('closed', 2);
  await sleep(50);
  expect(failures).toEqual([]);
  client.destroy();
});
