import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  FacecastClient,
  FacecastError,
  type FacecastSession,
  type Retry,
} from '../../clients/typescript/facecast-client.js';
import { FakeService } from './fake-service.js';
import { ManualClock } from './manual-clock.js';

const speech = readFileSync(resolve(__dirname, '../../clients/web/samples/speech.wav'));
const portrait = new Blob([new Uint8Array([1, 2, 3])], { type: 'image/png' });

let service: FakeService;
let clock: ManualClock;
let retries: Retry[];

beforeEach(async () => {
  service = await FakeService.start();
  clock = new ManualClock();
  retries = [];
});
afterEach(() => service.close());

function client(options: { maxAttempts?: number } = {}): FacecastClient {
  return new FacecastClient(service.url, { clock, onRetry: (retry) => retries.push(retry), ...options });
}

async function openSession(): Promise<FacecastSession> {
  return client().init(portrait);
}

const lagging = {
  status: 429,
  body: { code: 'session_lagging', detail: 'Feed slower.', request_id: 'r-1' },
  headers: { 'Retry-After': '7' },
};

describe('init', () => {
  it('sends the picture and every option under its field', async () => {
    await client().init(portrait, {
      sessionId: 'my-session',
      live: true,
      record: false,
      crop: false,
      seed: 7,
      nfe: 12,
      cfgScale: 1.5,
      chunkDuration: 0.5,
      audioSampleRate: 16000,
      poseStyle: [0.1, -0.2, 0],
      gazeStyle: [0.5, -1],
      size: 720,
      fileName: 'me.png',
    });
    const [form] = service.forms;
    expect(form.fields).toEqual({
      session_id: 'my-session',
      live: 'true',
      record: 'false',
      crop: 'false',
      seed: '7',
      nfe: '12',
      cfg_scale: '1.5',
      chunk_duration: '0.5',
      audio_sample_rate: '16000',
      pose_style: '[0.1,-0.2,0]',
      gaze_style: '[0.5,-1]',
      size: '720',
    });
    expect(form.file).toMatchObject({ field: 'image', name: 'me.png', type: 'image/png' });
    expect([...form.file!.bytes]).toEqual([1, 2, 3]);
  });

  it('leaves out what was left out, and names the session by a fresh UUID', async () => {
    const first = await openSession();
    const second = await openSession();
    expect(Object.keys(service.forms[0].fields)).toEqual(['session_id']);
    expect(first.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(second.id).not.toBe(first.id);
  });

  it('gives absolute URLs and the warnings', async () => {
    const session = await openSession();
    expect(session.hlsUrl).toBe(`${service.url}/hls/${session.id}/playlist.m3u8`);
    expect(session.multivariantUrl).toBe(`${service.url}/hls/${session.id}/multivariant.m3u8`);
    expect(session.downloadUrl).toBe(`${service.url}/api/hls/${session.id}/download`);
    expect(session.warnings).toEqual(['a centred face is assumed']);
    expect(new FacecastClient('https://host/below/').attach('abcdefgh').hlsUrl).toBe(
      'https://host/below/hls/abcdefgh/playlist.m3u8',
    );
    expect(new FacecastClient('https://host/below/').attach('abcdefgh').multivariantUrl).toBe(
      'https://host/below/hls/abcdefgh/multivariant.m3u8',
    );
  });

  it('tells whether the session is live', async () => {
    expect((await openSession()).live).toBe(false);
    expect((await client().init(portrait, { live: true })).live).toBe(true);
    expect(client().attach('abcdefgh').live).toBeUndefined();
  });

  it('takes the session as its own when the answer to the first try was lost', async () => {
    service.mishaps.push('lose the answer');
    const session = await openSession();
    expect(service.forms.map(({ fields }) => fields.session_id)).toEqual([session.id, session.id]);
    await session.feed(speech);
    expect(service.feeds[0].fields).toMatchObject({ session_id: session.id, chunk_index: '0' });
  });

  it("does not take over another one's session of the caller's id", async () => {
    await client().init(portrait, { sessionId: 'taken-already' });
    await expect(client().init(portrait, { sessionId: 'taken-already' })).rejects.toMatchObject({
      code: 'session_exists',
    });
  });
});

describe('feed', () => {
  it('counts chunks, and queues calls that do not wait for each other', async () => {
    const session = await openSession();
    await Promise.all([
      session.feed(Buffer.from('one'), { contentType: 'audio/L16', fileName: 'one.pcm' }),
      session.feed(new File(['two'], 'two.mp3', { type: 'audio/mpeg' })),
      session.finish(),
    ]);
    expect(service.feeds.map(({ fields }) => fields)).toEqual([
      { session_id: session.id, is_final_chunk: 'false', chunk_index: '0' },
      { session_id: session.id, is_final_chunk: 'false', chunk_index: '1' },
      { session_id: session.id, is_final_chunk: 'true', chunk_index: '2' },
    ]);
    expect(service.feeds.map(({ file }) => file?.name)).toEqual(['one.pcm', 'two.mp3', undefined]);
    expect(service.feeds[0].file).toMatchObject({ field: 'audio_chunk', type: 'audio/l16' });
  });

  it('waits as Retry-After says, and sends the same chunk again', async () => {
    const session = await openSession();
    service.mishaps.push(lagging, { ...lagging, headers: {} });
    await session.feed(speech);
    expect(clock.sleeps).toEqual([7, 1]);
    expect(service.feeds.map(({ fields }) => fields.chunk_index)).toEqual(['0', '0', '0']);
    expect(service.accepted).toHaveLength(1);
    expect(retries[0]).toMatchObject({ attempt: 1, waitSeconds: 7, error: { code: 'session_lagging' } });
  });

  it('sends a chunk again when its answer was lost, and it counts once', async () => {
    const session = await openSession();
    service.mishaps.push('lose the answer', 'hang up');
    await session.feed(speech);
    await session.feed(speech);
    expect(clock.sleeps).toEqual([0.5, 1]);
    expect(service.feeds.map(({ fields }) => fields.chunk_index)).toEqual(['0', '0', '0', '1']);
    expect(service.accepted).toHaveLength(2);
  });

  it('gives up after the last try with the error of that', async () => {
    const session = await client({ maxAttempts: 3 }).init(portrait);
    service.mishaps.push(lagging, lagging, lagging);
    await expect(session.feed(speech)).rejects.toMatchObject({ code: 'session_lagging', retryAfterSeconds: 7 });
    expect(service.feeds).toHaveLength(3);
  });

  it('does not repeat what cannot get better, and keeps the index for the next chunk', async () => {
    const session = await openSession();
    service.mishaps.push({
      status: 400,
      body: { code: 'invalid_audio', detail: 'no known format', request_id: 'r-2' },
    });
    const error = await session.feed(Buffer.from('?')).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(FacecastError);
    expect(error).toMatchObject({ code: 'invalid_audio', status: 400, detail: 'no known format', requestId: 'r-2' });
    expect(error.retryAfterSeconds).toBeUndefined();
    await session.feed(speech);
    expect(service.feeds.map(({ fields }) => fields.chunk_index)).toEqual(['0', '0']);
  });

  it('does not repeat a chunk without a number that may have arrived', async () => {
    const session = client().attach('abcdefgh');
    service.mishaps.push('lose the answer');
    await expect(session.feed(speech)).rejects.toMatchObject({ code: 'network' });
    expect(service.feeds.map(({ fields }) => fields.chunk_index)).toEqual([undefined]);
  });
});

describe('interrupt', () => {
  it('names the session and gives the seconds that were dropped', async () => {
    const session = await client().init(portrait, { live: true });
    expect(await session.interrupt()).toEqual({ droppedSeconds: 2.5 });
    expect(service.forms.at(-1)).toMatchObject({
      path: '/api/audio-driven/chunked/interrupt',
      fields: { session_id: session.id },
    });
  });

  it('passes on why it cannot be', async () => {
    const session = await openSession();
    service.mishaps.push({ status: 409, body: { code: 'not_live', detail: 'Only a live session ...' } });
    await expect(session.interrupt()).rejects.toMatchObject({ code: 'not_live', status: 409 });
  });
});

describe('errors', () => {
  it('reads a date as Retry-After, and an answer that is none of the service', async () => {
    const session = await client({ maxAttempts: 1 }).init(portrait);
    const date = new Date(Date.now() + 60_000).toUTCString();
    service.mishaps.push(
      { status: 503, body: { code: 'draining' }, headers: { 'Retry-After': date } },
      { status: 502, body: '<h1>Bad Gateway</h1>' },
    );
    const draining = await session.status().catch((thrown) => thrown);
    expect(draining.code).toBe('draining');
    expect(draining.retryAfterSeconds).toBeGreaterThan(55);
    expect(draining.retryAfterSeconds).toBeLessThanOrEqual(60);
    await expect(session.status()).rejects.toMatchObject({ code: 'bad_response', status: 502 });
  });

  it('says that nobody answers', async () => {
    await service.close();
    await expect(client().health()).rejects.toMatchObject({ code: 'network', status: 0 });
    expect(clock.sleeps).toEqual([]);
    service = await FakeService.start();
  });

  it('says that the answer takes too long', async () => {
    const never: typeof fetch = (_url, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason));
      });
    const slow = new FacecastClient(service.url, { fetch: never, timeoutSeconds: 0.02, maxAttempts: 1 });
    await expect(slow.health()).rejects.toMatchObject({ code: 'timeout' });
  });
});

describe('waitUntilComplete, download, cleanup', () => {
  it('looks until the talk is complete', async () => {
    const session = await openSession();
    service.statuses = [{ status: 'waiting_for_audio' }, { status: 'processing' }, { status: 'complete' }];
    const seen: string[] = [];
    const status = await session.waitUntilComplete({ onProgress: (now) => seen.push(now.status) });
    expect(status.status).toBe('complete');
    expect(seen).toEqual(['waiting_for_audio', 'processing', 'complete']);
    expect(clock.sleeps).toEqual([0.5, 0.5]);
  });

  it('throws what ended the talk', async () => {
    const session = await openSession();
    service.statuses = [{ status: 'error', error: 'The encoder has stopped.' }];
    await expect(session.waitUntilComplete()).rejects.toMatchObject({
      code: 'session_failed',
      detail: 'The encoder has stopped.',
    });
  });

  it('downloads the talk', async () => {
    const session = await openSession();
    expect(await (await session.download()).text()).toBe('an MP4');
  });

  it('deletes the session, and does not mind that it is gone', async () => {
    const session = await openSession();
    await session.cleanup();
    await session.cleanup();
    expect(service.deleted).toEqual([session.id, session.id]);
  });
});
