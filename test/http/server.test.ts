import { once } from 'node:events';
import { request as request1 } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect as connectTls } from 'node:tls';
import compression from 'compression';
import express, { type Request, type Response } from 'express';
import { WebSocket, WebSocketServer } from 'ws';
import { untilGone } from '../../src/http/client-gone.js';
import { createHttpServer, type HttpServer } from '../../src/http/server.js';
import { uploadReceivers } from '../../src/http/uploads.js';
import { Http2Client } from '../support/http2-client.js';
import { makeCertificate } from '../support/tls.js';

const tls = makeCertificate();
let server: HttpServer;
let url: string;
let client: Http2Client;
/** What the handlers have seen. */
let seen: unknown[];

function testApp() {
  const app = express();
  app.use((_request, response, next) => {
    response.set('X-Seen', 'yes').locals.id = 7;
    next();
  });
  app.get('/facts', (request: Request, response: Response) => {
    const { protocol, hostname, secure, httpVersion, query, path, ip } = request;
    response.json({ protocol, hostname, secure, httpVersion, query, path, ip, id: response.locals.id });
  });
  app.get('/large', compression({ threshold: 0 }), (_request, response) => {
    response.type('text/plain').send('all work and no play '.repeat(10_000));
  });
  const upload = uploadReceivers().image((request, response) => {
    response.json({ bytes: request.file?.size ?? null, fields: request.body ?? null });
  });
  app.post('/upload', upload);
  app.get('/slow', async (_request, response) => {
    const signal = untilGone(response);
    seen.push('slow');
    response.once('close', () => seen.push(signal.aborted ? 'left' : 'served', response.destroyed));
    await once(signal, 'abort');
  });
  app.get('/later', async (_request, response) => {
    await new Promise((resolve) => setTimeout(resolve, 600));
    response.send('late');
  });
  app.get('/quick', (_request, response) => {
    const signal = untilGone(response);
    response.once('close', () => seen.push(signal.aborted ? 'left' : 'served'));
    response.send('here');
  });
  app.get('/stream', (_request, response) => {
    response.status(200).set({ 'Content-Type': 'text/event-stream' });
    response.flushHeaders();
    let sent = 0;
    const timer = setInterval(() => response.write(`data: ${sent++}\n\n`), 10);
    response.once('close', () => {
      clearInterval(timer);
      seen.push('stream closed');
    });
  });
  app.use(() => {
    throw Object.assign(new Error('gone'), { status: 410, expose: true });
  });
  return app;
}

beforeEach(async () => {
  seen = [];
  server = createHttpServer(testApp(), tls.identity);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `https://localhost:${(server.address() as AddressInfo).port}`;
  client = new Http2Client(url, tls.identity.certificate);
});
afterEach(async () => {
  await client.close();
  server.closeAllConnections();
  server.close();
});
afterAll(() => tls.remove());

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    if (waited > 10_000) throw new Error(`It never came to that: ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Answers by HTTP/1.1 over TLS. */
async function get1(path: string): Promise<{ status: number; body: string }> {
  const request = request1(`${url}${path}`, { ca: tls.identity.certificate, agent: false }).end();
  const [response] = await once(request, 'response');
  let body = '';
  for await (const piece of response) body += piece;
  return { status: response.statusCode, body };
}

const FACTS = { protocol: 'https', hostname: 'localhost', secure: true, query: { a: '1' }, path: '/facts', id: 7 };

describe('createHttpServer with TLS', () => {
  it('gives an HTTP/2 request all that Express adds', async () => {
    const { status, headers, json } = await client.get('/facts?a=1');
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
    expect(headers['x-seen']).toBe('yes');
    expect(json()).toEqual({ ...FACTS, httpVersion: '2.0', ip: '127.0.0.1' });
  });

  it('serves HTTP/1.1 to those who ask for it', async () => {
    const { status, body } = await get1('/facts?a=1');
    expect(status).toBe(200);
    expect(JSON.parse(body)).toMatchObject({ ...FACTS, httpVersion: '1.1' });
  });

  it('takes requests of both kinds in turn', async () => {
    for (let round = 0; round < 3; round++) {
      const [second, first] = await Promise.all([client.get('/facts'), get1('/facts')]);
      expect([second.json().httpVersion, JSON.parse(first.body).httpVersion]).toEqual(['2.0', '1.1']);
    }
  });

  it('answers errors, and HEAD without a body', async () => {
    expect((await client.get('/nothing')).status).toBe(410);
    expect((await get1('/nothing')).status).toBe(410);
    const head = await client.send('HEAD', '/facts');
    expect([head.status, head.body.length]).toEqual([200, 0]);
  });

  it('compresses', async () => {
    const { headers, body } = await client.get('/large', { 'accept-encoding': 'gzip' });
    expect(headers['content-encoding']).toBe('gzip');
    expect(body.length).toBeLessThan(5000);
  });

  it.each([true, false])('takes an upload whose length is told: %s', async (told) => {
    const form = new FormData();
    form.set('name', 'value');
    form.set('image', new Blob([new Uint8Array(3_000_000)]), 'face.png');
    const encoded = new Response(form);
    const headers = { 'content-type': encoded.headers.get('content-type') as string };
    const bytes = new Uint8Array(await encoded.arrayBuffer());
    const length: Record<string, string> = told ? { 'content-length': String(bytes.length) } : {};
    const { status, json } = await client.send('POST', '/upload', { ...headers, ...length }, bytes);
    expect(status).toBe(200);
    expect(json()).toEqual({ bytes: 3_000_000, fields: { name: 'value' } });
  });

  it('streams, and learns that a client has left while its other requests go on', async () => {
    const stream = client.open('GET', '/stream');
    stream.end();
    const [first] = await once(stream, 'data');
    expect(first.toString()).toBe('data: 0\n\n');
    const slow = client.open('GET', '/slow');
    slow.end();
    await until(() => seen.includes('slow'));
    stream.close();
    slow.close();
    await until(() => seen.includes('stream closed') && seen.includes('left'));
    expect(seen).toContain(true); // response.destroyed
    expect((await client.get('/quick')).body.toString()).toBe('here');
    await until(() => seen.includes('served'));
  });

  it('survives a client that breaks off an upload', async () => {
    const upload = client.open('POST', '/upload', { 'content-type': 'multipart/form-data; boundary=x' });
    upload.on('error', () => {});
    upload.write('--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nabc');
    await new Promise((resolve) => setTimeout(resolve, 50));
    upload.destroy(new Error('gone'));
    expect((await client.get('/facts')).status).toBe(200);
  });

  it('carries WebSockets, by HTTP/1.1', async () => {
    const sockets = new WebSocketServer({ noServer: true });
    server.on('upgrade', (request, socket, head) => {
      sockets.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on('message', (data) => webSocket.send(`${request.url} ${data}`));
      });
    });
    const webSocket = new WebSocket(`${url.replace('https', 'wss')}/speech`, { ca: tls.identity.certificate });
    await once(webSocket, 'open');
    webSocket.send('hello');
    const [data] = await once(webSocket, 'message');
    expect(String(data)).toBe('/speech hello');
    webSocket.close();
    await once(webSocket, 'close');
  });

  it('chooses HTTP/2 where the client knows both', async () => {
    const { port } = server.address() as AddressInfo;
    const chosen = async (ALPNProtocols: string[]) => {
      const options = { port, ca: tls.identity.certificate, servername: 'localhost', ALPNProtocols };
      const socket = connectTls(options).on('error', () => {});
      await once(socket, 'secureConnect');
      socket.destroy();
      return socket.alpnProtocol;
    };
    expect(await chosen(['h2', 'http/1.1'])).toBe('h2');
    expect(await chosen(['http/1.1'])).toBe('http/1.1');
  });

  it('ends every connection at once when it is told to', async () => {
    const stream = client.open('GET', '/stream');
    stream.on('error', () => {}).end();
    await once(stream, 'data');
    const one = request1(`${url}/stream`, { ca: tls.identity.certificate }).on('error', () => {});
    const [response] = await once(one.end(), 'response');
    response.on('error', () => {}).resume();
    const closed = Promise.all(
      [client.session, response, server].map((ended) => new Promise((resolve) => ended.once('close', resolve))),
    );
    server.close();
    server.closeAllConnections();
    await closed;
  });
});

it('closes an HTTP/2 connection on which nothing happens, once its requests are answered', async () => {
  const idle = createHttpServer(testApp(), tls.identity, 200);
  idle.listen(0, '127.0.0.1');
  await once(idle, 'listening');
  const guest = new Http2Client(`https://localhost:${(idle.address() as AddressInfo).port}`, tls.identity.certificate);
  const closed = once(guest.session, 'close');
  const answer = guest.get('/later');
  expect((await answer).body.toString()).toBe('late');
  await closed;
  idle.closeAllConnections();
  idle.close();
});

describe('createHttpServer without TLS', () => {
  it('speaks plain HTTP', async () => {
    const plain = createHttpServer(testApp());
    plain.listen(0, '127.0.0.1');
    await once(plain, 'listening');
    const response = await fetch(`http://127.0.0.1:${(plain.address() as AddressInfo).port}/facts`);
    expect(await response.json()).toMatchObject({ protocol: 'http', httpVersion: '1.1' });
    plain.closeAllConnections();
    plain.close();
  });
});
