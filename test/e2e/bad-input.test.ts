import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { Api } from '../support/api.js';
import { dataPath, hasData } from '../support/data.js';
import { decodedFrames, durations, pcm, wav } from '../support/media.js';
import { samplePortrait, sampleSpeech, startService, type TestService } from '../support/service.js';

let service: TestService;
let api: Api;
let good: Buffer;

beforeAll(async () => {
  service = await startService();
  api = new Api(service.url);
  good = wav(await pcm(sampleSpeech, 24000, 1.5), 24000);
});

afterAll(() => service?.close());

/** The error's whole shape: RFC 9457 with a stable code, and a detail that names the field. */
function problem(status: number, code: string, field: RegExp) {
  return {
    status,
    body: {
      type: 'about:blank',
      title: expect.any(String),
      status,
      detail: expect.stringMatching(field),
      code,
      request_id: expect.any(String),
    },
  };
}

/** Eight bytes of signature and an IHDR that promises more than there is. */
function pngHeader(width: number, height: number): Buffer {
  const header = Buffer.from('89504e470d0a1a0a0000000d494844520000000000000000080200000000000000', 'hex');
  header.writeUInt32BE(width, 16);
  header.writeUInt32BE(height, 20);
  return header;
}

describe('pictures', () => {
  const noise = () =>
    sharp({
      create: {
        width: 400,
        height: 400,
        channels: 3,
        background: '#888',
        noise: { type: 'gaussian', mean: 128, sigma: 40 },
      },
    });

  it.each<[string, () => Promise<Uint8Array>, number, string]>([
    ['no face', () => noise().png().toBuffer(), 422, 'face_not_found'],
    ['a 1x1 image', () => noise().resize(1, 1).png().toBuffer(), 400, 'invalid_image'],
    ['63 pixels high', () => noise().resize(100, 63).png().toBuffer(), 400, 'invalid_image'],
    ['a 30000x30000 header', async () => pngHeader(30000, 30000), 413, 'image_too_large'],
    ['a text file called .jpg', async () => Buffer.from('not a picture'), 400, 'invalid_image'],
    [
      'an SVG',
      async () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200"/>'),
      400,
      'invalid_image',
    ],
    ['half a JPEG', async () => (await readFile(samplePortrait)).subarray(0, 4000), 400, 'invalid_image'],
    ['more than 20 MB', async () => Buffer.alloc(20 * 1024 * 1024 + 1), 413, 'image_too_large'],
    ['an empty file', async () => Buffer.alloc(0), 400, 'invalid_image'],
  ])('%s', async (_what, image, status, code) => {
    const answer = await api.init(await image());
    expect(answer).toMatchObject(problem(status, code, /^image: /));
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  it('no picture at all', async () => {
    expect(await api.post('init', new FormData())).toMatchObject(problem(400, 'missing_file', /^image: /));
  });

  it('no face with crop=false starts, and says what it assumed', async () => {
    const { status, body } = await api.init(await noise().png().toBuffer(), { crop: false });
    expect(status).toBe(200);
    expect(body.warnings).toEqual([expect.stringMatching(/no face/i)]);
    await api.delete(body.session_id);
  });

  it.each<[string, () => Promise<Uint8Array>]>([
    ['a CMYK JPEG', () => sharp(samplePortrait).toColourspace('cmyk').jpeg().toBuffer()],
    ['a grey 16-bit PNG', () => sharp(samplePortrait).greyscale().toColourspace('grey16').png().toBuffer()],
    ['a PNG with alpha', () => sharp(samplePortrait).ensureAlpha(0.9).png().toBuffer()],
    [
      'lying on its side by EXIF',
      () => sharp(samplePortrait).rotate(90).withMetadata({ orientation: 8 }).jpeg().toBuffer(),
    ],
    [
      'an animated WebP',
      async () => {
        const { data, info } = await sharp(samplePortrait)
          .resize(300, 360, { fit: 'cover' })
          .raw()
          .toBuffer({ resolveWithObject: true });
        const pages = Buffer.concat([data, data, data]);
        return sharp(pages, {
          raw: { width: info.width, height: info.height * 3, channels: 3, pageHeight: info.height },
        })
          .webp({ loop: 0, delay: [100, 100, 100] })
          .toBuffer();
      },
    ],
  ])('%s speaks', async (_what, image) => {
    const id = await api.open(await image());
    await api.feed(id, { bytes: good }, { is_final_chunk: true });
    expect((await api.complete(id)).total_frames_generated).toBe(38);
    await api.delete(id);
  });

  it('of two faces the larger is taken', async () => {
    const large = await sharp(samplePortrait).resize(400, 480, { fit: 'cover' }).toBuffer();
    const small = await sharp(samplePortrait).flop().resize(150, 180, { fit: 'cover' }).toBuffer();
    const both = await sharp({ create: { width: 1000, height: 480, channels: 3, background: '#445566' } })
      .composite([
        { input: small, left: 50, top: 150 },
        { input: large, left: 600, top: 0 },
      ])
      .png()
      .toBuffer();
    const one = await sharp({ create: { width: 1000, height: 480, channels: 3, background: '#445566' } })
      .composite([{ input: large, left: 600, top: 0 }])
      .png()
      .toBuffer();
    const [first, second] = await Promise.all([both, one].map(firstFrame));
    expect(first).toBe(second);
  });

  async function firstFrame(image: Buffer): Promise<string> {
    const id = await api.open(image);
    await api.feed(id, { bytes: good }, { is_final_chunk: true });
    await api.complete(id);
    const [frame] = await decodedFrames(await api.download(id), 'v');
    await api.delete(id);
    return frame!;
  }
});

describe('parameters', () => {
  it.each([
    ['nfe', '4', /^nfe: must be a whole number from 5 to 50/],
    ['cfg_scale', 'abc', /^cfg_scale: must be a number from 1 to 5/],
    ['session_id', '../../etc', /^session_id: must be a UUID or/],
  ])('%s=%s', async (field, value, detail) => {
    expect(await api.init(samplePortrait, { [field]: value })).toMatchObject(problem(400, 'invalid_parameter', detail));
  });

  it('an unknown session', async () => {
    const id = '00000000-0000-4000-8000-000000000000';
    expect(await api.feed(id, { bytes: good })).toMatchObject(problem(404, 'session_not_found', /^session_id: /));
    expect(await api.status(id)).toMatchObject(problem(404, 'session_not_found', /^session_id: /));
    expect(await api.delete(id)).toMatchObject(problem(404, 'session_not_found', /^session_id: /));
    expect(await api.get(`/hls/${id}/playlist.m3u8`)).toMatchObject(problem(404, 'session_not_found', /^session_id: /));
  });

  it.each(['..%2f..%2fetc', '%2e%2e', 'a', 'a%00bcdefgh'])('a session id of the path that is none: %s', async (id) => {
    expect((await api.status(id)).body.code).toMatch(/^(invalid_parameter|not_found)$/);
    expect((await api.get(`/hls/${id}/playlist.m3u8`)).body.code).toMatch(/^(invalid_parameter|not_found)$/);
  });

  it('a form that ends half-way, and one that is none', async () => {
    const url = `${service.url}/api/audio-driven/chunked/init`;
    const broken = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=x' },
      body: '--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nabc',
    });
    expect(broken.status).toBe(400);
    expect(await broken.json()).toMatchObject({ code: 'invalid_parameter' });
    const none = await fetch(url, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } });
    expect(await none.json()).toMatchObject({
      code: 'invalid_parameter',
      detail: expect.stringMatching(/^Content-Type: /),
    });
  });
});

it.each([
  ['PUT', '/health', 'GET, HEAD'],
  ['POST', '/health/live', 'GET, HEAD'],
  ['GET', '/api/audio-driven/chunked/init', 'POST'],
  ['POST', '/api/audio-driven/chunked/session/abcdefgh', 'DELETE'],
  ['POST', '/api/audio-driven/chunked/stream/abcdefgh', 'GET, HEAD'],
  ['DELETE', '/hls/abcdefgh/playlist.m3u8', 'GET, HEAD'],
  ['POST', '/api/hls/abcdefgh/download', 'GET, HEAD'],
])('%s %s says which methods there are', async (method, path, allowed) => {
  const response = await fetch(service.url + path, { method });
  expect(response.headers.get('allow')).toBe(allowed);
  expect(await response.json()).toMatchObject({ status: 405, code: 'method_not_allowed' });
});

describe('speech', () => {
  const bad: [string, () => { bytes: Uint8Array; name?: string; type?: string }][] = [
    ['empty audio', () => ({ bytes: Buffer.alloc(0) })],
    ['a WAV without samples', () => ({ bytes: wav(Buffer.alloc(0), 24000) })],
    ['a truncated WAV', () => ({ bytes: good.subarray(0, good.length / 2) })],
    ['a WAV that says 0 Hz', () => ({ bytes: wav(good.subarray(44), 0) })],
    [
      'an M3U8',
      () => ({
        bytes: Buffer.from('#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n'),
        name: 'a.m3u8',
        type: 'audio/mpegurl',
      }),
    ],
    [
      'a concat script',
      () => ({ bytes: Buffer.from("ffconcat version 1.0\nfile '/etc/passwd'\n"), name: 'a.mp3', type: 'audio/mpeg' }),
    ],
    ['a picture', () => ({ bytes: pngHeader(10, 10), name: 'a.mp3', type: 'audio/mpeg' })],
  ];

  it('is refused with its documented error, and the session goes on with the next good chunk', async () => {
    const id = await api.open(samplePortrait);
    await api.feed(id, { bytes: good }, { chunk_index: 0 });
    for (const [what, audio] of bad) {
      const answer = await api.feed(id, audio(), { chunk_index: 1 });
      expect({ what, ...answer }).toMatchObject({ what, ...problem(400, 'invalid_audio', /^audio_chunk\b/) });
    }
    const missing = await api.feed(id, undefined);
    expect(missing).toMatchObject(problem(400, 'missing_file', /^audio_chunk\b/));
    const large = await api.feed(id, { bytes: Buffer.alloc(10 * 1024 * 1024 + 1) });
    expect(large).toMatchObject(problem(413, 'audio_too_large', /^audio_chunk\b/));

    await api.feed(id, { bytes: good }, { chunk_index: 1, is_final_chunk: true });
    const { total_frames_generated: frames } = await api.complete(id);
    expect(frames).toBe(75);
    expect((await durations(await api.download(id))).video).toBeCloseTo(3, 3);

    const late = await api.feed(id, { bytes: good });
    expect(late).toMatchObject(problem(409, 'session_closed', /final chunk/));
    // A client that did not hear the answer sends the last chunk again: that is no error.
    const again = await api.feed(id, { bytes: good }, { chunk_index: 1, is_final_chunk: true });
    expect(again.status).toBe(200);
    expect((await api.status(id)).body.total_frames_generated).toBe(75);
    await api.delete(id);
  });

  it('may end without sound, in a form of any kind', async () => {
    const id = await api.open(samplePortrait);
    await api.feed(id, { bytes: good });
    const end = await api.post('feed', new URLSearchParams({ session_id: id, is_final_chunk: 'True' }));
    expect(end.status).toBe(200);
    expect((await api.complete(id)).total_frames_generated).toBe(38);
    await api.delete(id);
  });

  it('is bounded: a session that lags says so, and when to come again', async () => {
    const small = await startService({ maxQueuedSeconds: 10 });
    try {
      const other = new Api(small.url);
      const id = await other.open(samplePortrait, { nfe: 50 });
      const long = wav(Buffer.alloc(2 * 8000 * 60), 8000);
      expect((await other.feed(id, { bytes: long })).status).toBe(200);
      const refused = await other.feed(id, { bytes: long });
      expect(refused).toMatchObject(problem(429, 'session_lagging', /waiting to be rendered/));
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(refused.body.queued_seconds).toBeGreaterThan(10);
      expect(refused.body.lag_seconds).toBeGreaterThanOrEqual(0);
      await other.delete(id);
    } finally {
      await small.close();
    }
  });
});

(hasData ? it : it.skip)('real portraits of every kind speak', async () => {
  for (const name of ['source_7.png', 'source_9.png', 'source_10.png']) {
    const id = await api.open(dataPath(`portraits/${name}`));
    await api.feed(id, { bytes: good }, { is_final_chunk: true });
    expect((await api.complete(id)).total_frames_generated).toBe(38);
    await api.delete(id);
  }
});
