import { rm } from 'node:fs/promises';
import { Api } from '../support/api.js';
import { decodedFrames, pcm, wav } from '../support/media.js';
import { samplePortrait, sampleSpeech, startService, type TestService } from '../support/service.js';
import { DEVICE, PACKS, startTestEngine } from './device.js';

/** 2.5 s at 24 kHz, fed in two pieces. */
const FRAMES = 63;
const CUT = 24000 * 2;
let speech: Buffer;

beforeAll(async () => {
  speech = await pcm(sampleSpeech, 24000, 2.5);
});

describe.each(PACKS)('$name pack', ({ make, temporary }) => {
  let folder: string;
  let service: TestService;
  let api: Api;

  beforeAll(async () => {
    folder = await make();
    service = await startService({ engine: await startTestEngine(folder) });
    api = new Api(service.url);
  });

  afterAll(async () => {
    await service?.close();
    if (temporary) await rm(folder, { recursive: true, force: true });
  });

  /** Inits, feeds, waits for the end. @returns a checksum of every frame of the finished talk */
  async function talk(seed: number): Promise<string[]> {
    const id = await api.open(samplePortrait, { seed });
    const first = await api.feed(id, { bytes: wav(speech.subarray(0, CUT), 24000) });
    const last = await api.feed(id, { bytes: wav(speech.subarray(CUT), 24000) }, { is_final_chunk: true });
    expect([first.status, last.status]).toEqual([200, 200]);
    const { total_frames_generated } = await api.complete(id, 500);
    expect(total_frames_generated).toBe(FRAMES);
    const { body } = await api.get(`/hls/${id}/playlist.m3u8`);
    expect(body).toContain('#EXT-X-ENDLIST');
    expect(body.match(/#EXTINF/g)).toHaveLength(3);
    const frames = await decodedFrames(await api.download(id), 'v');
    await api.delete(id);
    expect(frames).toHaveLength(FRAMES);
    // Somebody is moving there.
    expect(new Set(frames).size).toBeGreaterThan(FRAMES / 2);
    return frames;
  }

  it('runs on the device that is tested', async () => {
    const { status, body } = await api.get('/health');
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: 'healthy', device: DEVICE });
    if (body.gpus) expect(body.gpus[0].memory_mib.model).toBeGreaterThan(0);
  });

  it('turns speech into a whole talk', async () => {
    await talk(1);
  });

  it('holds several talks at the same time', async () => {
    const talks = await Promise.all([1, 2, 3, 4].map(talk));
    // Each with its own seed, so no two may be the same.
    expect(new Set(talks.map((frames) => frames.join())).size).toBe(4);
  });
});
