import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HlsStream, type HlsStreamOptions } from '../../src/hls/hls-stream.js';
import { ConformanceChecker, RULES } from './support/conformance.js';
import { HEIGHT, testFrames, WIDTH } from './support/test-picture.js';

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

  constructor(private readonly stream: HlsStream) {}

  /** Writes up to this frame. */
  to(frame: number): void {
    const soundFrames = frame + SOUND_LEAD - this.#sound;
    this.stream.writeSound(new Float32Array(soundFrames * SOUND_FRAME));
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
