import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import {
  FacecastClient,
  type FacecastClientOptions,
  type SpeechOptions,
  type SpeechSocket,
} from '../../clients/typescript/facecast-client.js';

/** The service's end of one socket, by hand. */
let peer: WebSocket;
/** What came to it: bytes and words. */
let received: (Buffer | string)[];
let urls: string[];
/** Whether the service welcomes who connects. */
let welcome: (socket: WebSocket) => void;
let server: Server;
let sockets: WebSocketServer;

beforeEach(async () => {
  received = [];
  urls = [];
  welcome = (socket) => tell(socket, { type: 'ready' });
  server = createServer().listen(0, '127.0.0.1');
  sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, request) => {
    peer = socket;
    urls.push(request.url!);
    socket.on('message', (data: Buffer, isBinary) => received.push(isBinary ? data : JSON.parse(data.toString()).type));
    welcome(socket);
  });
  await once(server, 'listening');
});
afterEach(async () => {
  for (const socket of sockets.clients) socket.terminate();
  sockets.close();
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
});

function tell(socket: WebSocket, message: Record<string, unknown>): void {
  socket.send(JSON.stringify(message));
}

function tellStatus(paused: boolean, queued = 0): void {
  tell(peer, { type: 'status', session_status: 'processing', queued_seconds: queued, frames_generated: 50, paused });
}

function open(options: SpeechOptions = {}, clientOptions: FacecastClientOptions = {}): Promise<SpeechSocket> {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/below`;
  return new FacecastClient(url, { WebSocket, ...clientOptions }).attach('abcdefgh').openSpeech(options);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}

const words = () => received.filter((message) => typeof message === 'string');
const bytes = () => Buffer.concat(received.filter((message) => typeof message !== 'string'));

describe('opening', () => {
  it('connects below the address of the service, in the format that is asked for', async () => {
    await open();
    await open({ format: 'webm' });
    expect(urls).toEqual([
      '/below/api/audio-driven/chunked/stream/abcdefgh?format=pcm',
      '/below/api/audio-driven/chunked/stream/abcdefgh?format=webm',
    ]);
  });

  it('takes the WebSocket of the platform where none is given', async () => {
    const platform = globalThis as { WebSocket?: unknown };
    const before = platform.WebSocket;
    platform.WebSocket = WebSocket;
    try {
      await open({}, { WebSocket: undefined });
      platform.WebSocket = undefined;
      await expect(open({}, { WebSocket: undefined })).rejects.toMatchObject({
        code: 'no_websocket',
        detail: expect.stringContaining('"ws"'),
      });
    } finally {
      platform.WebSocket = before;
    }
  });

  it('passes on why it is refused', async () => {
    welcome = (socket) => {
      tell(socket, { type: 'error', code: 'not_live', detail: 'Only a live session.' });
      socket.close(4409, 'Only a live session.');
    };
    await expect(open()).rejects.toMatchObject({
      name: 'FacecastError',
      code: 'not_live',
      detail: 'Only a live session.',
    });
    welcome = (socket) => socket.close(1012);
    await expect(open()).rejects.toMatchObject({ code: 'draining' });
  });

  it('says so where nobody answers', async () => {
    const nowhere = new FacecastClient('http://127.0.0.1:9', { WebSocket }).attach('abcdefgh');
    await expect(nowhere.openSpeech()).rejects.toMatchObject({ code: 'network' });
    welcome = () => {};
    await expect(open({}, { timeoutSeconds: 0.05 })).rejects.toMatchObject({ code: 'timeout' });
  });

  it('can be given up', async () => {
    await expect(open({ signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before');
    welcome = () => {};
    const stop = new AbortController();
    const opening = open({ signal: stop.signal });
    await until(() => urls.length > 0);
    stop.abort(new Error('meanwhile'));
    await expect(opening).rejects.toThrow('meanwhile');
  });
});

describe('sound', () => {
  it('arrives byte by byte, in order, in messages that are not too large', async () => {
    const speech = await open();
    const sound = Buffer.from(Array.from({ length: 300_001 }, (_, i) => i % 251));
    const samples = new Int16Array([1, -2, 3]);
    await Promise.all([
      speech.send(sound.subarray(0, 150_000)),
      speech.send(new Blob([sound.subarray(150_000, 200_000)])),
      speech.send(new Uint8Array(sound.subarray(200_000)).buffer),
      speech.send(samples),
      speech.send(new Uint8Array()),
    ]);
    const ended = speech.endUtterance();
    await until(() => words().length > 0);
    expect(bytes().equals(Buffer.concat([sound, Buffer.from(samples.buffer)]))).toBe(true);
    const largest = Math.max(...received.filter((message) => typeof message !== 'string').map(({ length }) => length));
    expect(largest).toBeLessThanOrEqual(64 * 1024);
    tell(peer, { type: 'utterance_ended' });
    await ended;
  });

  it('waits while the service has enough', async () => {
    const told: unknown[] = [];
    const speech = await open({ onStatus: (status) => told.push(status) });
    tellStatus(true, 10.5);
    await until(() => told.length > 0);
    expect(told).toEqual([{ status: 'processing', queuedSeconds: 10.5, framesGenerated: 50, paused: true }]);
    expect(speech.queuedSeconds).toBe(10.5);
    const sending = speech.send(Buffer.from('later'));
    await sleep(100);
    expect(received).toEqual([]);
    tellStatus(false);
    await sending;
    await until(() => received.length > 0);
    expect(bytes().toString()).toBe('later');
  });

  it('waits while the network is slower', async () => {
    const speech = await open();
    peer.pause();
    const piece = Buffer.alloc(1024 * 1024);
    let sent = 0;
    const sending = (async () => {
      for (; sent < 64; sent++) await speech.send(piece);
    })();
    await sleep(500);
    expect(sent).toBeLessThan(64);
    peer.resume();
    await sending;
    await until(() => bytes().length === 64 * piece.length);
  });

  it('in floating point is refused by name', async () => {
    const speech = await open();
    await expect(speech.send(new Float32Array(10))).rejects.toMatchObject({
      code: 'invalid_audio',
      detail: expect.stringContaining('16-bit'),
    });
    // The next one is not to suffer.
    await speech.send(Buffer.from('good'));
    await until(() => received.length > 0);
  });
});

describe('words', () => {
  it('keep their place behind the sound, and are answered one by one', async () => {
    const speech = await open();
    const done: string[] = [];
    speech.send(Buffer.from('one'));
    speech.endUtterance().then(() => done.push('first'));
    speech.send(Buffer.from('two'));
    speech.endUtterance().then(() => done.push('second'));
    await until(() => words().length === 2);
    expect(received.map(String)).toEqual(['one', 'end_of_utterance', 'two', 'end_of_utterance']);
    expect(done).toEqual([]);
    tell(peer, { type: 'utterance_ended' });
    await until(() => done.length === 1);
    tell(peer, { type: 'utterance_ended' });
    await until(() => done.length === 2);
    expect(done).toEqual(['first', 'second']);
  });

  it('interrupt overtakes what waits to be sent, and drops it', async () => {
    let paused = false;
    const speech = await open({
      onStatus: (status) => {
        paused = status.paused;
      },
    });
    tellStatus(true);
    await until(() => paused);
    const waiting = [speech.send(Buffer.from('never heard')), speech.endUtterance()];
    const interrupted = speech.interrupt();
    const after = speech.send(Buffer.from('heard'));
    await until(() => words().length > 0);
    tell(peer, { type: 'interrupted', dropped_seconds: 3.5 });
    expect(await interrupted).toEqual({ droppedSeconds: 3.5 });
    await Promise.all(waiting);
    tellStatus(false);
    await after;
    await until(() => received.length === 2);
    expect(received.map(String)).toEqual(['interrupt', 'heard']);
  });

  it('an interruption that cannot be is refused, and the socket goes on', async () => {
    const speech = await open();
    const interrupted = speech.interrupt();
    await until(() => words().length > 0);
    tell(peer, { type: 'error', code: 'session_closed', detail: 'The final chunk was fed before.' });
    await expect(interrupted).rejects.toMatchObject({ code: 'session_closed' });
    const status = speech.status();
    await until(() => words().length > 1);
    tellStatus(false, 1);
    expect(await status).toMatchObject({ queuedSeconds: 1, paused: false });
    peer.close(1000);
    await speech.closed;
  });

  it('finish is done when the service closes the socket', async () => {
    const speech = await open();
    let finished = false;
    const finishing = speech.finish().then(() => {
      finished = true;
    });
    await until(() => words().length > 0);
    await sleep(20);
    expect(finished).toBe(false);
    peer.close(1000, 'The talk is finished.');
    await finishing;
    await speech.closed;
  });
});

describe('closing', () => {
  it('by itself is in peace, and ends all waiting', async () => {
    const speech = await open();
    const asked = expect(speech.status()).rejects.toMatchObject({ code: 'socket_closed' });
    await speech.close();
    await speech.closed;
    await speech.close();
    await asked;
    await expect(speech.send(Buffer.from('x'))).rejects.toMatchObject({ code: 'socket_closed' });
    await expect(speech.endUtterance()).rejects.toMatchObject({ code: 'socket_closed' });
    await expect(speech.interrupt()).rejects.toMatchObject({ code: 'socket_closed' });
    expect(received).toEqual(['status']);
  });

  it.each([
    [4404, 'session_not_found'],
    [4409, 'session_closed'],
    [4400, 'invalid_parameter'],
    [1009, 'audio_too_large'],
    [1011, 'internal'],
    [1012, 'draining'],
    [1013, 'not_ready'],
  ])('by the service with %i is the error %s', async (code, name) => {
    const speech = await open();
    const asked = expect(speech.endUtterance()).rejects.toMatchObject({ code: name });
    peer.close(code, 'Why.');
    await expect(speech.closed).rejects.toMatchObject({ code: name, detail: 'Why.' });
    await asked;
    await expect(speech.send(Buffer.from('x'))).rejects.toMatchObject({ code: name });
  });

  it('by a network that breaks, and by talk that is none of the service, are errors too', async () => {
    const broken = await open();
    peer.terminate();
    await expect(broken.closed).rejects.toMatchObject({ code: 'network' });
    const strange = await open();
    peer.send('<html>');
    await expect(strange.closed).rejects.toMatchObject({ code: 'bad_response' });
  });

  it('by its signal rejects with the reason, and ends the waiting for room', async () => {
    const stop = new AbortController();
    let paused = false;
    const speech = await open({
      signal: stop.signal,
      onStatus: (status) => {
        paused = status.paused;
      },
    });
    tellStatus(true);
    await until(() => paused);
    const sending = expect(speech.send(Buffer.from('x'))).rejects.toThrow('enough');
    stop.abort(new Error('enough'));
    await expect(speech.closed).rejects.toThrow('enough');
    await sending;
  });
});
