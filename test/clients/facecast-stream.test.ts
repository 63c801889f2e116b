import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { FacecastClient, type FacecastSession } from '../../clients/typescript/facecast-client.js';
import { FakeService } from './fake-service.js';
import { ManualClock } from './manual-clock.js';

/** 9.15 s. */
const speech = readFileSync(resolve(__dirname, '../../clients/web/samples/speech.wav'));
const portrait = new Blob([new Uint8Array([1, 2, 3])], { type: 'image/png' });

let service: FakeService;
let clock: ManualClock;

beforeEach(async () => {
  service = await FakeService.start();
  clock = new ManualClock();
});
afterEach(() => service.close());

function openSession(): Promise<FacecastSession> {
  return new FacecastClient(service.url, { clock }).init(portrait);
}

describe('stream', () => {
  it('paces a WAV as a speaker would: a chunk goes out when those before it have played', async () => {
    const session = await openSession();
    const sent: number[] = [];
    await session.stream(speech, {
      chunkSeconds: 2,
      onProgress: () => {
        sent.push(clock.now() / 1000);
        clock.advance(0.3); // the time that a chunk takes to be sent does not add up
      },
    });
    expect(sent.map((seconds) => Math.round(seconds * 1000) / 1000)).toEqual([0, 2, 4, 6, 8]);
    expect(clock.sleeps.map((seconds) => Math.round(seconds * 1000) / 1000)).toEqual([1.7, 1.7, 1.7, 1.7]);
  });

  it('catches up after a delay', async () => {
    const session = await openSession();
    const sent: number[] = [];
    await session.stream(speech, {
      chunkSeconds: 2,
      onProgress: () => {
        sent.push(clock.now() / 1000);
        if (sent.length === 1) clock.advance(5);
      },
    });
    expect(sent).toEqual([0, 5, 5, 6, 8]);
  });

  it('sends at full speed without waiting, and marks the last chunk as final', async () => {
    const session = await openSession();
    const progress: unknown[] = [];
    const result = await session.stream(speech, { pace: 'full', onProgress: (now) => progress.push(now) });
    expect(clock.sleeps).toEqual([]);
    expect(result.frames_generated).toBe(250);
    expect(service.feeds.map(({ fields }) => fields.is_final_chunk)).toEqual([...Array(9).fill('false'), 'true']);
    expect(service.feeds.every(({ file }) => file?.type === 'audio/wav')).toBe(true);
    expect(progress[4]).toEqual({
      sentChunks: 5,
      totalChunks: 10,
      sentSeconds: 5,
      totalSeconds: expect.closeTo(9.150563, 5),
      framesGenerated: 125,
      status: 'processing',
    });
  });

  it('goes on with a talk that does not end with this recording', async () => {
    const session = await openSession();
    await session.stream(speech, { pace: 'full', chunkSeconds: 5, final: false });
    await session.stream(speech, { pace: 'full', chunkSeconds: 5 });
    expect(service.feeds.map(({ fields }) => [fields.chunk_index, fields.is_final_chunk])).toEqual([
      ['0', 'false'],
      ['1', 'false'],
      ['2', 'false'],
      ['3', 'true'],
    ]);
  });

  it('cuts headerless PCM by the rate that the session was opened with', async () => {
    const session = await openSession();
    await session.stream(new File([new Uint8Array(2 * 36000)], 'voice.raw'), { pace: 'full' });
    expect(service.feeds.map(({ file }) => file?.bytes.length)).toEqual([48000, 24000]);
    expect(service.feeds[0].file?.type).toBe('audio/l16');
  });

  it('sends a compressed file whole under its name', async () => {
    const session = await openSession();
    await session.stream(Buffer.from('OggS and so on'), { fileName: 'voice.opus' });
    expect(service.feeds).toHaveLength(1);
    expect(service.feeds[0].file).toMatchObject({ name: 'voice.opus', bytes: Buffer.from('OggS and so on') });
  });

  it('stops between chunks with the reason of the signal', async () => {
    const session = await openSession();
    const stop = new AbortController();
    const reason = new Error('enough');
    const talk = session.stream(speech, {
      signal: stop.signal,
      onProgress: ({ sentChunks }) => sentChunks === 3 && stop.abort(reason),
    });
    await expect(talk).rejects.toBe(reason);
    expect(service.feeds).toHaveLength(3);
  });

  it('stops while it waits, with the real clock', async () => {
    const session = await new FacecastClient(service.url).init(portrait);
    const stop = new AbortController();
    const talk = session.stream(speech, {
      chunkSeconds: 5,
      signal: stop.signal,
      onProgress: () => setTimeout(() => stop.abort(), 20),
    });
    await expect(talk).rejects.toMatchObject({ name: 'AbortError' });
    expect(service.feeds).toHaveLength(1);
  });
});
