import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HlsStream, type HlsStreamOptions } from '../../src/hls/hls-stream.js';
import { ConformanceChecker } from './support/conformance.js';
import { RULES } from './support/conformance-rules.js';
import { decodeLuma, decodeSound } from './support/ffmpeg-tools.js';
import { readPlaylist } from './support/seen-playlist.js';
import { clicks, frameNumber, HEIGHT, loudestNear, testFrames, WIDTH } from './support/test-picture.js';

const SECOND = 48_000;
const SOUND_FRAME = SECOND / 25;
const PART_FRAMES = 5;
const SOUND_LEAD = 10;
const logger = { info: () => {}, warn: () => {}, error: () => {} } as HlsStreamOptions['logger'];
const streams: HlsStream[] = [];
let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'facecast-test-'));
});
afterAll(async () => {
  await Promise.all(streams.map((stream) => stream.close({ removeFiles: true })));
  rmSync(root, { recursive: true, force: true });
});

async function open(name: string, more: Partial<HlsStreamOptions> = {}): Promise<HlsStream> {
  const stream = await HlsStream.open({
    ...{ directory: join(root, name), width: WIDTH, height: HEIGHT, fps: 25, segmentFrames: 25 },
    ...{ partFrames: PART_FRAMES, live: { windowSegments: 7, record: false }, logger, ...more },
  });
  streams.push(stream);
  return stream;
}

/** Hands frames and sound over as a live session does: one after the other, the sound some frames ahead. */
class Writer {
  #frame = 0;
  #sound = 0;

  constructor(
    private readonly stream: HlsStream,
    private readonly samples: Float32Array = new Float32Array(20 * SECOND),
  ) {}

  /** Writes up to this frame. */
  to(frame: number): void {
    const soundFrames = frame + SOUND_LEAD - this.#sound;
    const from = this.#sound * SOUND_FRAME;
    this.stream.writeSound(this.samples.slice(from, from + soundFrames * SOUND_FRAME));
    this.stream.writeFrames(testFrames(this.#frame, frame - this.#frame), frame - this.#frame);
    this.#sound += soundFrames;
    this.#frame = frame;
  }
}

async function fetchFrom(stream: HlsStream, uri: string): Promise<Uint8Array | undefined> {
  const media = await stream.media(uri.split('?')[0]!);
  if (!media) return undefined;
  return 'path' in media ? readFileSync(media.path) : media.bytes;
}

/** Asks again after a 503, as players do: how long a new FFmpeg takes to start is not what is tested. */
async function persistently(ask: () => Promise<string>): Promise<string> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if ((error as { code?: string }).code !== 'not_ready') throw error;
    }
  }
}

describe('a live stream of 14 s, watched part by part', () => {
  const checker = new ConformanceChecker((uri) => fetchFrom(stream, uri));
  let stream: HlsStream;

  beforeAll(async () => {
    stream = await open('watched');
    const writer = new Writer(stream);
    for (let part = 0; part < 70; part++) {
      writer.to((part + 1) * PART_FRAMES);
      const wanted = { msn: Math.floor(part / 5) + 1, part: part % 5 };
      // A playlist is not to be had before there is one segment.
      if (wanted.msn === 1) continue;
      const full = await stream.playlist(wanted);
      if (part > 45) checker.seeDelta(await stream.playlist({ ...wanted, skip: true }), full);
      await checker.see(full);
    }
    await stream.finish();
    await checker.see(await stream.playlist());
    await checker.finish();
  });

  it.each(Object.entries(RULES).map(([number, text]) => [Number(number), text] as const))(
    'keeps rule %i: %s',
    (rule) => {
      expect(checker.breaches.get(rule) ?? []).toEqual([]);
      expect(checker.checked.get(rule) ?? 0).toBeGreaterThan(0);
    },
  );
});

describe('a live stream whose FFmpeg is killed', () => {
  it('keeps every rule, and shows every frame once with its sound in its place', async () => {
    const FRAMES = 250;
    const CLICKS = [30_000, 100_000, 190_000, 211_000, 260_000, 400_000];
    const sound = clicks(((FRAMES + SOUND_LEAD) * SECOND) / 25, CLICKS);
    const stream = await open('killed', { live: { windowSegments: 7, record: true } });
    const checker = new ConformanceChecker((uri) => fetchFrom(stream, uri));
    const writer = new Writer(stream, sound);
    writer.to(30);
    let text = await stream.playlist();
    await checker.see(text);
    for (let written = 35; written <= FRAMES; written += PART_FRAMES) {
      writer.to(written);
      // In the middle of a second.
      if (written === 110) process.kill(stream.pid!, 'SIGKILL');
      const { segments, open: filling } = readPlaylist(text);
      const next = { msn: segments.at(-1)!.number + 1, part: filling?.parts.length ?? 0 };
      text = await persistently(() => stream.playlist(next));
      await checker.see(text);
    }
    await stream.finish();
    await checker.see(await stream.playlist());
    await checker.finish();
    expect(checker.report).toEqual([]);
    const seen = [...checker.segments.values()];
    expect(seen.at(-1)!.discontinuitySequence).toBe(1);
    const media = await Promise.all(['init.mp4', ...seen.map(({ uri }) => uri!)].map((uri) => fetchFrom(stream, uri)));
    const whole = Buffer.concat(media.map((bytes) => bytes!));
    const frames = decodeLuma(whole, WIDTH * HEIGHT).map(frameNumber);
    expect(frames).toEqual(Array.from({ length: FRAMES }, (_, n) => n));
    const decoded = decodeSound(whole);
    // 5 samples are 0.1 ms
    for (const click of CLICKS) expect(Math.abs(loudestNear(decoded, click, 2400) - click)).toBeLessThanOrEqual(5);
  });
});
