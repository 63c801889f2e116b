import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { parse, types } from 'hls-parser';
import { ConformanceChecker } from '../hls/support/conformance.js';
import { readPlaylist } from '../hls/support/seen-playlist.js';
import { Api } from '../support/api.js';
import { pcm, wav } from '../support/media.js';
import { samplePortrait, sampleSpeech, startService, type TestService } from '../support/service.js';
import { makeTinyPack, TINY_SIDE } from '../support/tiny-pack.js';

const execute = promisify(execFile);

let packDirectory: string;
let service: TestService;
let api: Api;
let speech: Buffer;

beforeAll(async () => {
  speech = wav(await pcm(sampleSpeech, 24000, 4), 24000);
  // Next to no work for the model: this is about the stream, in real time, on a machine that may be busy.
  packDirectory = await makeTinyPack();
  service = await startService({ maxSessions: 4, packDirectory, places: [{ kind: 'thread' }] });
  api = new Api(service.url);
});

afterAll(async () => {
  await service?.close();
  await rm(packDirectory, { recursive: true, force: true });
});

const PLAYLIST_HEADERS = {
  'content-type': 'application/vnd.apple.mpegurl; charset=utf-8',
  'content-encoding': 'gzip',
  'cache-control': 'no-cache',
  'access-control-allow-origin': '*',
};
const MEDIA_HEADERS = {
  'content-type': 'video/mp4',
  'cache-control': 'public, max-age=31536000, immutable',
  'access-control-allow-origin': '*',
};

const headersOf = (response: Response, names: object) =>
  Object.fromEntries(Object.keys(names).map((name) => [name, response.headers.get(name)]));

/** Asks again after a 503, as players do: how long a new FFmpeg takes to start is not what is tested. */
async function playlist(id: string, query = ''): Promise<string> {
  const response = await fetch(`${service.url}/hls/${id}/playlist.m3u8${query}`);
  const text = await response.text();
  if (response.status === 503) return playlist(id, query);
  if (response.status !== 200) throw new Error(`${query} was answered ${response.status}: ${text}`);
  // Rules 43 to 46: types, gzip, caching, CORS.
  expect(headersOf(response, PLAYLIST_HEADERS)).toEqual(PLAYLIST_HEADERS);
  return text;
}

async function media(id: string, uri: string): Promise<Uint8Array | undefined> {
  const response = await fetch(`${service.url}/hls/${id}/${uri}`);
  if (response.status === 404) return undefined;
  expect(headersOf(response, MEDIA_HEADERS)).toEqual(MEDIA_HEADERS);
  return new Uint8Array(await response.arrayBuffer());
}

/** What a low-latency player asks for next: the part after the last one. */
function nextQuery(text: string): string {
  const { segments, open } = readPlaylist(text);
  const msn = segments.at(-1)!.number + 1;
  return `?_HLS_msn=${msn}&_HLS_part=${open?.parts.length ?? 0}`;
}

describe('a live session over HTTP', () => {
  let id: string;

  beforeAll(async () => {
    id = await api.open(samplePortrait, { live: true });
  });

  it('keeps every rule under the eyes of a low-latency player, through speech and the death of its encoder', async () => {
    const checker = new ConformanceChecker((uri) => media(id, uri));
    // It waits for the first segment.
    let text = await playlist(id);
    await checker.see(text);
    let deltas = 0;
    for (let step = 0; step < 85; step++) {
      if (step === 10) await api.feed(id, { bytes: speech });
      if (step === 40) process.kill(service.registry.get(id).stream.pid!, 'SIGKILL');
      const query = nextQuery(text);
      const [full, delta] = await Promise.all([playlist(id, query), playlist(id, `${query}&_HLS_skip=YES`)]);
      // Both were let go by the same part, unless one was late.
      const sameMoment = nextQuery(full) === nextQuery(delta);
      if (sameMoment && delta.includes('#EXT-X-SKIP') && checker.seeDelta(delta, full)) deltas++;
      text = full;
      await checker.see(text);
    }
    await checker.finish();
    expect(checker.report).toEqual([]);
    expect(deltas).toBeGreaterThan(0);
    const numbers = [...checker.segments.keys()];
    expect(numbers.length).toBeGreaterThan(14);
    expect([...checker.segments.values()].at(-1)).toMatchObject({ discontinuitySequence: 1 });
  });

  it('is an ordinary live stream to a player that knows no parts', async () => {
    // FFmpeg 5 ignores every tag of Low-Latency HLS; it polls, and takes whole segments.
    const { stdout, stderr } = await execute('ffmpeg', [
      ...['-nostdin', '-v', 'error', '-i', `${service.url}/hls/${id}/playlist.m3u8`, '-t', '6', '-map', '0:v'],
      ...['-vsync', 'passthrough', '-f', 'framemd5', '-'],
    ]);
    expect(stderr).toBe('');
    const times = stdout
      .split('\n')
      .filter((line) => line && !line.startsWith('#'))
      .map((line) => Number(line.split(',')[2]));
    expect(times).toHaveLength(150);
    // No frame is missing and none comes twice.
    const steps = times.slice(1).map((time, i) => time - times[i]!);
    expect(new Set(steps).size).toBe(1);
  });

  it('has a multivariant playlist that is true', async () => {
    const url = `${service.url}/hls/${id}/multivariant.m3u8`;
    const response = await fetch(url);
    expect(headersOf(response, PLAYLIST_HEADERS)).toEqual(PLAYLIST_HEADERS);
    const parsed = parse(await response.text());
    if (!(parsed instanceof types.MasterPlaylist)) throw new Error('not a multivariant playlist');
    const { uri, codecs, resolution, frameRate, bandwidth, averageBandwidth } = parsed.variants[0]!;
    expect([uri, resolution, frameRate]).toEqual(['playlist.m3u8', { width: TINY_SIDE, height: TINY_SIDE }, 25]);
    expect(codecs).toMatch(/^avc1\.6400[0-9a-f]{2},mp4a\.40\.2$/);
    expect(averageBandwidth!).toBeLessThan(bandwidth);
    for (const segment of readPlaylist(await playlist(id)).segments) {
      expect((8 * (await media(id, segment.uri!))!.byteLength) / segment.duration!).toBeLessThan(bandwidth);
    }
    const streams = await streamsOf(url);
    expect(streams.map(({ codec_name, width, height }) => [codec_name, width, height])).toEqual([
      ['h264', TINY_SIDE, TINY_SIDE],
      ['aac', undefined, undefined],
    ]);
  });

  it.each([
    ['?_HLS_part=1', '_HLS_part: comes with _HLS_msn only.'],
    ['?_HLS_msn=x', '_HLS_msn: must be a whole number from 0.'],
    ['?_HLS_msn=1.5', '_HLS_msn: must be a whole number from 0.'],
    ['?_HLS_msn=1&_HLS_msn=2', '_HLS_msn: must be a whole number from 0.'],
    ['?_HLS_msn=1&_HLS_part=-1', '_HLS_part: must be a whole number from 0.'],
    ['?_HLS_msn=9999', expect.stringMatching(/^_HLS_msn: is too far ahead: the newest segment is \d+\.$/)],
  ])('refuses %s, and nobody keeps the answer', async (query, detail) => {
    const { status, headers, body } = await api.get(`/hls/${id}/playlist.m3u8${query}`);
    expect({ status, detail: body.detail, code: body.code }).toEqual({
      status: 400,
      detail,
      code: 'invalid_parameter',
    });
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('access-control-allow-origin')).toBe('*');
  });

  it.each(['part-99999.m4s', 'segment-99999.m4s', 'init-9.mp4', 'talk.mp4', '.facecast-session'])(
    'has no %s: 404',
    async (name) => {
      const { status, headers, body } = await api.get(`/hls/${id}/${name}`);
      expect([status, body.code, headers.get('cache-control')]).toEqual([404, 'not_found', 'no-store']);
    },
  );

  it('sends the hinted part when it is whole, and frees the waiters of clients that leave', async () => {
    const { stream } = service.registry.get(id);
    const text = await playlist(id);
    const hint = readPlaylist(text).hints[0]!.URI!;
    const bytes = await media(id, hint);
    expect(bytes!.byteLength).toBeGreaterThan(0);
    expect(await media(id, hint)).toEqual(bytes);

    const before = stream.waiting;
    const newest = readPlaylist(await playlist(id)).segments.at(-1)!.number;
    const leaving = get(`${service.url}/hls/${id}/playlist.m3u8?_HLS_msn=${newest + 2}`);
    const left = new Promise((resolve) => leaving.on('error', () => {}).on('close', resolve));
    while (stream.waiting === before) await sleep(5);
    leaving.destroy();
    await left;
    while (stream.waiting > before) await sleep(5);
  });

  it('wakes those who wait with the end of the talk', async () => {
    await api.feed(id, undefined, { is_final_chunk: true });
    let text = await playlist(id);
    while (!readPlaylist(text).ended) text = await playlist(id, nextQuery(text));
    expect(text.match(/#EXT-X-ENDLIST/g)).toHaveLength(1);
    expect(text).not.toContain('PRELOAD-HINT');
    expect(await playlist(id, '?_HLS_msn=99999&_HLS_part=x')).toBe(text);
    await api.complete(id);
  });
});

it('a recorded live talk is, once its players have seen the end, a VOD playlist of the whole', async () => {
  const id = await api.open(samplePortrait, { live: true, record: true });
  let text = await playlist(id);
  while (readPlaylist(text).segments.at(-1)!.number < 9) text = await playlist(id, nextQuery(text));
  expect(readPlaylist(text).mediaSequence).toBeGreaterThan(1);
  await api.feed(id, undefined, { is_final_chunk: true });
  const { total_frames_generated: frames } = await api.complete(id);
  while (!text.includes('#EXT-X-PLAYLIST-TYPE:VOD')) {
    await sleep(100);
    text = await playlist(id);
  }
  const { mediaSequence, segments, ended } = readPlaylist(text);
  expect([mediaSequence, ended]).toEqual([1, true]);
  expect(segments.reduce((sum, { duration }) => sum + duration!, 0)).toBeCloseTo(frames / 25, 5);
  const [video] = await streamsOf(`${service.url}/hls/${id}/playlist.m3u8`, ['-count_frames']);
  expect(video).toMatchObject({ codec_name: 'h264', nb_read_frames: String(frames) });
});

interface FoundStream {
  readonly codec_name: string;
  readonly width?: number;
  readonly height?: number;
  readonly nb_read_frames?: string;
}

/** What ffprobe finds; the service runs in this process, so it must not be waited for without its event loop. */
async function streamsOf(url: string, options: readonly string[] = []): Promise<FoundStream[]> {
  const entries = 'stream=codec_name,width,height,nb_read_frames';
  const args = ['-v', 'error', ...options, '-show_entries', entries, '-of', 'json', url];
  return JSON.parse((await execute('ffprobe', args)).stdout).streams;
}
