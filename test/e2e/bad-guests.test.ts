import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { UploadMemory } from '../../src/http/upload-memory.js';
import { Api } from '../support/api.js';
import { durations, pcm, wav } from '../support/media.js';
import { RawClient, uploadHead } from '../support/raw-client.js';
import {
  samplePortrait,
  sampleSpeech,
  startEngine,
  startService,
  type TestService,
  type TestServiceOptions,
} from '../support/service.js';
import { itWithSmallDisk, mountDisk } from '../support/small-disk.js';
import { makeTinyPack } from '../support/tiny-pack.js';

// Guests who take too much, and disks that are full: they are told so, and no other session notices.

const MEGABYTE = 1024 * 1024;
let pack: string;
let portrait: Buffer;
let speech: Buffer;
let service: TestService;
let api: Api;
let lines: string[];

beforeAll(async () => {
  pack = await makeTinyPack();
  portrait = await readFile(samplePortrait);
  speech = wav(await pcm(sampleSpeech, 24000, 2), 24000);
});
afterAll(() => rm(pack, { recursive: true }));
afterEach(() => service?.close());

async function start(options: TestServiceOptions = {}): Promise<void> {
  lines = [];
  const engine = await startEngine({ packDirectory: pack, places: [{ kind: 'thread' }] });
  service = await startService({ engine, log: { write: (line) => lines.push(line) }, ...options });
  api = new Api(service.url);
}

/** A session's talk, from its portrait to its last frame. */
async function talks(): Promise<void> {
  const id = await api.open(portrait);
  expect((await api.feed(id, { bytes: speech }, { is_final_chunk: true })).status).toBe(200);
  expect((await api.complete(id)).total_frames_generated).toBe(50);
  await api.delete(id);
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await condition()); waited += 50) {
    if (waited > 30_000) throw new Error(`It never came to that: ${what}`);
    await sleep(50);
  }
}

describe('disks', () => {
  let disk: ReturnType<typeof mountDisk> | undefined;
  afterEach(async () => {
    disk?.remove();
    disk = undefined;
  });

  itWithSmallDisk(
    'that are full: speech is refused, no session is lost, and all goes on when there is room',
    async () => {
      disk = mountDisk(4);
      await start({ hlsDirectory: disk.folder });
      const [one, other] = [await api.open(portrait), await api.open(portrait)];
      for (const id of [one, other]) expect((await api.feed(id, { bytes: speech })).status).toBe(200);
      const live = await api.open(portrait, { live: true, record: true });
      const liveFrames = async () => (await api.status(live)).body.total_frames_generated;
      while ((await liveFrames()) < 30) await sleep(20);
      disk.fill();
      const framesThen = await liveFrames();
      for (const id of [one, other]) {
        const refused = await api.feed(id, { bytes: speech }, { chunk_index: 0 });
        expect(refused).toMatchObject({
          status: 507,
          body: { code: 'storage_full', detail: expect.stringMatching(/full/) },
        });
        expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      }
      expect(await api.init(portrait)).toMatchObject({ status: 507, body: { code: 'storage_full' } });
      // A live talk goes on from memory: at least one segment of it finds no room.
      while ((await liveFrames()) < framesThen + 50) await sleep(20);
      expect(await api.feed(live, { bytes: speech })).toMatchObject({ status: 507, body: { code: 'storage_full' } });
      for (const id of [one, other, live]) expect((await api.status(id)).body).toMatchObject({ error: null });
      disk.empty();
      expect((await api.feed(live, { bytes: speech }, { is_final_chunk: true })).status).toBe(200);
      const { total_frames_generated: shown } = await api.complete(live);
      expect((await durations(await api.download(live))).video).toBeCloseTo(shown / 25, 3);
      for (const id of [one, other]) {
        expect((await api.feed(id, { bytes: speech }, { chunk_index: 0, is_final_chunk: true })).status).toBe(200);
        expect((await api.complete(id)).total_frames_generated).toBe(100);
        const { video, audio } = await durations(await api.download(id));
        expect(video).toBeCloseTo(4, 3);
        expect(audio).toBeCloseTo(4, 1);
      }
      await talks();
      expect(lines.filter((line) => JSON.parse(line).msg === 'session failed')).toEqual([]);
    },
  );

  itWithSmallDisk('that are read-only: init says that it cannot store, with an id that is in the log', async () => {
    disk = mountDisk(4);
    await start({ hlsDirectory: disk.folder });
    disk.setReadOnly(true);
    const { status, body } = await api.init(portrait);
    expect({ status, ...body }).toMatchObject({ status: 500, code: 'internal' });
    expect(body.detail).toMatch(/^The folder of the stream could not be made\./);
    const logged = lines
      .map((line) => JSON.parse(line))
      .find(({ requestId, msg }) => requestId === body.request_id && msg === 'request failed');
    expect(logged).toMatchObject({ code: 'internal', err: { message: 'The folder of the stream could not be made.' } });
    disk.setReadOnly(false);
    await talks();
  });
});

describe('uploads', () => {
  it('that stop or trickle in are given up, and everybody else is served', async () => {
    await start({ doors: { uploads: { stallMilliseconds: 700, uploadMilliseconds: 2000 } } });
    const id = await api.open(portrait);
    const stopped = Array.from({ length: 20 }, () => new RawClient(service.url, uploadHead('feed', id, 100_000)));
    const trickling = Array.from(
      { length: 20 },
      () => new RawClient(service.url, uploadHead('init', 'abcdefgh', 100_000)),
    );
    const drops = setInterval(() => {
      for (const { socket } of trickling) if (!socket.destroyed) socket.write('.');
    }, 50);
    try {
      await talks();
      for (const answer of await Promise.all([...stopped, ...trickling].map((client) => client.answer()))) {
        expect(answer).toMatch(/^HTTP\/1.1 408 [\s\S]*Connection: close[\s\S]*"code":"upload_timeout"/i);
      }
    } finally {
      clearInterval(drops);
    }
    // Their session is as it was.
    expect((await api.feed(id, { bytes: speech }, { is_final_chunk: true })).status).toBe(200);
    await api.complete(id);
  });

  it('take no more memory together than they may: the largest gives way, pieces of speech get through', async () => {
    const memory = new UploadMemory(2_010_000);
    await start({ doors: { uploads: { memory } } });
    const sizes = [500_000, 900_000, 600_000];
    const clients = sizes.map((bytes) => {
      const client = new RawClient(service.url, uploadHead('init', 'abcdefgh', 5 * MEGABYTE));
      client.socket.write(Buffer.alloc(bytes));
      return client;
    });
    await until('all is there', () => memory.bytes === 2_000_000);
    await talks();
    const answer = await clients[1]!.answer();
    expect(answer).toMatch(/^HTTP\/1.1 503 [\s\S]*Retry-After: 2[\s\S]*"code":"overloaded"/i);
    expect(memory.bytes).toBe(1_100_000);
    for (const client of clients) client.leave();
    await until('all is free', () => memory.bytes === 0);
  });
});

it('a client who feeds ten times too fast is told how much waits, and what it was promised is shown', async () => {
  await start({ maxQueuedSeconds: 5 });
  const [fast, calm] = [
    await api.open(portrait, { live: true, record: true }),
    await api.open(portrait, { live: true }),
  ];
  const began = Date.now();
  let accepted = 0;
  let refusals = 0;
  for (let i = 0; i < 20; i++) {
    const { status, headers, body } = await api.feed(fast, { bytes: speech });
    if (status === 200) {
      accepted += 2;
      expect(body.queued_seconds).toBeLessThanOrEqual(5);
      expect(body.lag_seconds).toBeGreaterThanOrEqual(0);
      continue;
    }
    refusals++;
    expect({ status, ...body }).toMatchObject({ status: 429, code: 'session_lagging' });
    expect(Number(/^([\d.]+) s of speech wait/.exec(body.detail)![1])).toBeGreaterThanOrEqual(3);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  }
  expect(refusals).toBeGreaterThan(0);
  // What waits at the end, and what was spoken meanwhile.
  expect(accepted).toBeLessThanOrEqual(5 + (Date.now() - began) / 1000);
  expect((await api.status(calm)).body).toMatchObject({ status: 'waiting_for_audio', error: null });
  await api.feed(fast, undefined, { is_final_chunk: true });
  const { total_frames_generated: frames } = await api.complete(fast);
  expect(frames).toBeGreaterThanOrEqual(accepted * 25);
});

describe('connections', () => {
  it('a thousand that say nothing, or half a header, are closed, and sessions go on meanwhile', async () => {
    await start({ serverLimits: { headersMilliseconds: 1500, lookMilliseconds: 200 } });
    const silent = Array.from({ length: 800 }, () => new RawClient(service.url));
    const halfway = Array.from({ length: 200 }, () => new RawClient(service.url, 'GET /health HTTP/1.1\r\nHost: fa'));
    await talks();
    for (const { socket } of [...silent, ...halfway]) socket.resume();
    await Promise.all([...silent, ...halfway].map(({ closed }) => closed));
    await talks();
  });

  it('over the number that is allowed are closed at once, and those that are there go on', async () => {
    await start({ serverLimits: { maxConnections: 30 } });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const health = async () => {
      const [response] = await once(get(`${service.url}/health`, { agent }), 'response');
      response.resume();
      await once(response, 'end');
      return [response.statusCode, response.req.reusedSocket];
    };
    try {
      expect(await health()).toEqual([200, false]);
      const many = Array.from({ length: 60 }, () => new RawClient(service.url));
      let closed = 0;
      for (const { socket } of many) socket.resume();
      for (const client of many) client.closed.then(() => closed++);
      await until('those that are too many are closed', () => closed >= 31);
      expect(await health()).toEqual([200, true]);
      expect(closed).toBe(31);
      for (const client of many) client.leave();
    } finally {
      agent.destroy();
    }
    await until('there is room', () =>
      api.get('/health').then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
    await talks();
  });

  it('that do not read what they asked for are cut off, and sessions go on', async () => {
    await start({ doors: { slowReaderMilliseconds: 500 } });
    const id = await api.open(portrait);
    await api.feed(id, { bytes: speech }, { is_final_chunk: true });
    await api.complete(id);
    const request = `GET /hls/${id}/segment-00001.m4s HTTP/1.1\r\nHost: facecast\r\n\r\n`;
    const deaf = Array.from({ length: 5 }, () => new RawClient(service.url, request.repeat(5000)));
    for (const { socket } of deaf) socket.pause();
    const live = await api.open(portrait, { live: true });
    // Players that wait for what is to come, and do not read it when it is there.
    const waiting = Array.from(
      { length: 20 },
      () =>
        new RawClient(service.url, `GET /hls/${live}/playlist.m3u8?_HLS_msn=2&_HLS_part=0 HTTP/1.1\r\nHost: f\r\n\r\n`),
    );
    for (const { socket } of waiting) socket.pause();
    await talks();
    // One who is cut off learns of it when he speaks.
    await until('all are cut off', () => {
      for (const { socket } of deaf) if (!socket.destroyed) socket.write('GET ');
      return deaf.every(({ socket }) => socket.destroyed);
    });
    for (const client of waiting) client.leave();
    expect((await api.status(live)).body).toMatchObject({ error: null, live: true });
    await talks();
  });
});
