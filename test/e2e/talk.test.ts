import * as HlsParser from 'hls-parser';
import { Parser as M3u8Parser } from 'm3u8-parser';
import { Api } from '../support/api.js';
import { dataPath, hasData } from '../support/data.js';
import { decodedFrames, durations, pcm, sound, wav } from '../support/media.js';
import { samplePortrait, sampleSpeech, startService, type TestService } from '../support/service.js';

/** A real recording where there is one, the sample otherwise; and a rate at which seconds are not whole windows. */
const RECORDING = hasData ? dataPath('speech/audio_2.wav') : sampleSpeech;
const RATE = 22050;
const SECONDS = 4.3;

let service: TestService;
let api: Api;
let speech: Buffer;

beforeAll(async () => {
  service = await startService();
  api = new Api(service.url);
  speech = await pcm(RECORDING, RATE, SECONDS);
});

afterAll(() => service?.close());

const frameCount = (samples: number, rate: number) => Math.ceil((samples * 16000) / rate / 640);

/** Bytes of 16-bit PCM in pieces of so many samples, taken in turns. */
function* pieces(bytes: Buffer, lengths: readonly number[]) {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const end = Math.min(bytes.length, at + 2 * lengths[turn % lengths.length]!);
    yield { bytes: bytes.subarray(at, end), final: end === bytes.length };
    at = end;
  }
}

async function talk(lengths: readonly number[], asWav: boolean): Promise<{ id: string; mp4: Buffer; frames: number }> {
  const id = await api.open(samplePortrait, { audio_sample_rate: RATE });
  for (const { bytes, final } of pieces(speech, lengths)) {
    const audio = asWav ? { bytes: wav(bytes, RATE) } : { bytes, name: 'chunk.pcm', type: 'audio/L16' };
    const { status, body } = await api.feed(id, audio, { is_final_chunk: final });
    expect({ status, body }).toMatchObject({ status: 200, body: { status: 'success', session_id: id } });
  }
  const { total_frames_generated: frames } = await api.complete(id);
  return { id, mp4: await api.download(id), frames };
}

describe('one recording', () => {
  it('gives the same frames and the same sound however it is cut', async () => {
    const whole = await talk([Number.POSITIVE_INFINITY], true);
    const expected = frameCount(speech.length / 2, RATE);
    expect(whole.frames).toBe(expected);
    const frames = await decodedFrames(whole.mp4, 'v');
    const sounds = await decodedFrames(whole.mp4, 'a');
    expect(frames).toHaveLength(expected);
    // Somebody is moving there.
    expect(new Set(frames).size).toBeGreaterThan(expected * 0.9);

    for (const [lengths, asWav] of [
      [[RATE], true],
      [[7919, 401, 3], false],
    ] as const) {
      const cut = await talk(lengths, asWav);
      expect(cut.frames).toBe(expected);
      expect(await decodedFrames(cut.mp4, 'v')).toEqual(frames);
      expect(await decodedFrames(cut.mp4, 'a')).toEqual(sounds);
    }
  });

  it('differs with the seed', async () => {
    const one = await api.open(samplePortrait, { audio_sample_rate: RATE, seed: 1 });
    const two = await api.open(samplePortrait, { audio_sample_rate: RATE, seed: 2 });
    const second = speech.subarray(0, 2 * RATE);
    for (const id of [one, two]) await api.feed(id, { bytes: wav(second, RATE) }, { is_final_chunk: true });
    await Promise.all([one, two].map((id) => api.complete(id)));
    const [a, b] = await Promise.all([one, two].map(async (id) => decodedFrames(await api.download(id), 'v')));
    expect(a).not.toEqual(b);
  });

  it('keeps picture and sound together, and the sound what was fed', async () => {
    const { mp4 } = await talk([RATE], true);
    const { video, audio } = await durations(mp4);
    expect(video).toBeCloseTo(frameCount(speech.length / 2, RATE) / 25, 3);
    expect(Math.abs(video - audio)).toBeLessThan(0.04);
    expect(Math.abs(offsetSamples(await sound(wav(speech, RATE)), await sound(mp4)))).toBeLessThan(0.04 * 48000);
  });
});

describe('the playlist', () => {
  it('is good at every moment, live and after, and every segment decodes by itself', async () => {
    const id = await api.open(samplePortrait, { audio_sample_rate: RATE });
    const url = `/hls/${id}/playlist.m3u8`;
    const seen: string[] = [];
    // Asked for before there is anything: it waits for the first segment.
    const first = api.get(url);
    for (const { bytes, final } of pieces(speech, [RATE / 2])) {
      await api.feed(id, { bytes: wav(bytes, RATE) }, { is_final_chunk: final });
    }
    const { status, headers, body } = await first;
    expect(status).toBe(200);
    expect(headers.get('content-type')).toMatch(/^application\/vnd\.apple\.mpegurl/);
    expect(headers.get('cache-control')).toBe('no-cache');
    seen.push(body);
    while (!seen.at(-1)!.includes('#EXT-X-ENDLIST')) seen.push((await api.get(url)).body);

    for (const text of seen) {
      const parsed = HlsParser.parse(text) as HlsParser.types.MediaPlaylist;
      const other = new M3u8Parser();
      other.push(text);
      other.end();
      expect(parsed.segments.length).toBeGreaterThan(0);
      expect(other.manifest.segments).toHaveLength(parsed.segments.length);
      // A segment once listed stays as it was.
      const last = HlsParser.parse(seen.at(-1)!) as HlsParser.types.MediaPlaylist;
      parsed.segments.forEach(({ uri, duration }, i) => {
        expect({ uri, duration }).toEqual({ uri: last.segments[i]!.uri, duration: last.segments[i]!.duration });
      });
    }

    const ended = HlsParser.parse(seen.at(-1)!) as HlsParser.types.MediaPlaylist;
    const total = ended.segments.reduce((sum, { duration }) => sum + duration, 0);
    expect(total).toBeCloseTo(frameCount(speech.length / 2, RATE) / 25, 3);
    const fetchMedia = async (uri: string) => {
      const response = await fetch(new URL(uri, service.url + url));
      expect(response.headers.get('content-type')).toBe('video/mp4');
      return Buffer.from(await response.arrayBuffer());
    };
    const init = await fetchMedia(ended.segments[0]!.map!.uri!);
    for (const { uri, duration } of ended.segments) {
      const frames = await decodedFrames(Buffer.concat([init, await fetchMedia(uri)]), 'v');
      expect(frames).toHaveLength(Math.round(duration * 25));
    }
    // The other address answers the same.
    expect((await api.get(`/api${url}`)).body).toBe(seen.at(-1));
  });
});

/** The lag, in samples, at which the second sound is most like the first. */
function offsetSamples(fed: Float32Array, played: Float32Array): number {
  let best = Number.NEGATIVE_INFINITY;
  let lag = 0;
  for (let candidate = -4800; candidate <= 4800; candidate += 4) {
    let sum = 0;
    for (let i = 24000; i < 96000; i += 3) sum += fed[i]! * (played[i + candidate] ?? 0);
    if (sum > best) {
      best = sum;
      lag = candidate;
    }
  }
  return lag;
}
