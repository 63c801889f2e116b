import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, type types } from 'hls-parser';
import { AppError } from '../../src/errors.js';
import { HlsStream, type HlsStreamOptions } from '../../src/hls/hls-stream.js';
import { MediaWindow } from '../../src/hls/media-window.js';
import { decodeLuma, decodeSound } from './support/ffmpeg-tools.js';
import { clicks, frameNumber, HEIGHT, loudestNear, testFrames, WIDTH } from './support/test-picture.js';

// What a service finds when it is started again after it was killed.

const SECOND = 48_000;
const FRAMES = 200;
const CLICKS = [30_000, 100_000, 190_000, 300_001, 350_000];
const sound = clicks((FRAMES * SECOND) / 25, CLICKS);
const logger = { info: () => {}, warn: () => {}, error: () => {} } as HlsStreamOptions['logger'];
let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'facecast-test-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const options = (name: string, edition: string, live?: HlsStreamOptions['live']): HlsStreamOptions => ({
  ...{ directory: join(root, name), width: WIDTH, height: HEIGHT, fps: 25, segmentFrames: 25, partFrames: 5 },
  ...{ edition, live, logger },
});

async function write(stream: HlsStream, from: number, to: number): Promise<void> {
  for (let frame = from; frame < to; frame += 5) {
    const count = Math.min(5, to - frame);
    stream.writeSound(sound.subarray((frame * SECOND) / 25, ((frame + count) * SECOND) / 25));
    stream.writeFrames(testFrames(frame, count), count);
    await stream.drained();
  }
}

async function segmentsThere(stream: HlsStream, count: number): Promise<void> {
  while (stream.segments < count) await new Promise((resolve) => setTimeout(resolve, 10));
  // Published from memory; the disk follows.
  await new Promise((resolve) => setTimeout(resolve, 200));
}

/** The folder as a killed service leaves it: a copy, made while the stream is at work. */
function crash(name: string, copy: string): void {
  mkdirSync(join(root, copy));
  for (const file of readdirSync(join(root, name))) copyFileSync(join(root, name, file), join(root, copy, file));
  // That service is gone.
  writeFileSync(join(root, copy, '.facecast-session'), '4194303');
}

/** Whole ones: the parser adds one for the parts that follow. */
const segmentsOf = (text: string) =>
  (parse(text) as types.MediaPlaylist).segments.filter(({ duration }) => duration !== undefined);

describe.each([
  ['fed', undefined],
  ['recorded live', { windowSegments: 7, record: true }],
] as const)('a %s stream', (kind, live) => {
  let resumed: HlsStream;
  let before: string;
  let text: string;

  beforeAll(async () => {
    const stream = await HlsStream.open(options(`${kind} 1`, 'a', live));
    await write(stream, 0, 92);
    await segmentsThere(stream, 3);
    before = await stream.playlist();
    crash(`${kind} 1`, `${kind} 2`);
    await stream.close({ removeFiles: true });

    const again = await HlsStream.resume(options(`${kind} 2`, 'b', live));
    expect(again.firstFrame).toBe(75);
    await write(again, 75, 140);
    await segmentsThere(again, 5);
    // And once more, in the middle of a segment.
    crash(`${kind} 2`, `${kind} 3`);
    await again.close({ removeFiles: true });

    resumed = await HlsStream.resume(options(`${kind} 3`, 'c', live));
    expect(resumed.firstFrame).toBe(125);
    expect(segmentsOf(await resumed.playlist())).toHaveLength(5);
    // The third life begins a minute later.
    const now = Date.now;
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => now() + 60_000);
    await write(resumed, 125, FRAMES);
    clock.mockRestore();
    await resumed.finish();
    text = await resumed.playlist();
  });

  afterAll(() => resumed?.close({ removeFiles: true }));

  it('lists what was there as it was, and goes on behind a discontinuity under names of its own', () => {
    const listed = segmentsOf(text).slice(-8);
    const known = segmentsOf(before).slice(0, 3);
    if (live === undefined) {
      expect(listed.slice(0, 3).map(({ uri }) => uri)).toEqual(known.map(({ uri }) => uri));
      expect(listed[0]!.programDateTime).toEqual(known[0]!.programDateTime);
    }
    const last = listed.slice(-5);
    expect(last.map(({ discontinuity }) => discontinuity === true)).toEqual([true, false, true, false, false]);
    expect(last.map(({ uri }) => uri.slice(-4))).toEqual(['?e=b', '?e=b', '?e=c', '?e=c', '?e=c']);
    expect(last.map(({ map }) => map!.uri)).toEqual([
      ...['init-2.mp4?e=b', 'init-2.mp4?e=b'],
      ...['init-3.mp4?e=c', 'init-3.mp4?e=c', 'init-3.mp4?e=c'],
    ]);
    // The clock went on while the service was away.
    const leap = last[2]!.programDateTime!.getTime() - last[1]!.programDateTime!.getTime();
    expect(leap).toBeGreaterThan(50_000);
  });

  it('has times that do not go back, though it was made faster than it plays', () => {
    const times = segmentsOf(text).map(({ programDateTime }) => programDateTime!.getTime());
    expect(times.length).toBeGreaterThanOrEqual(7);
    for (const [i, time] of times.slice(1).entries()) expect(time - times[i]!).toBeGreaterThanOrEqual(1000);
  });

  it('gives nothing else under an address of an earlier life', async () => {
    const name = 'segment-00006.m4s';
    expect(await resumed.media(name, 'c')).toBeDefined();
    expect(await resumed.media(name)).toBeDefined();
    // Listed when the second life was killed, it may have been, and stored in a cache.
    expect(await resumed.media(name, 'b')).toBeUndefined();
    expect(await resumed.media('segment-00001.m4s', 'a')).toBeDefined();
  });

  it('has every frame once, and the sound where it belongs', async () => {
    const mp4 = readFileSync(await resumed.download());
    const frames = decodeLuma(mp4, WIDTH * HEIGHT);
    expect(frames.map(frameNumber)).toEqual(Array.from({ length: FRAMES }, (_, n) => n & 255));
    const heard = decodeSound(mp4);
    for (const click of CLICKS) expect(Math.abs(loudestNear(heard, click, 2000) - click)).toBeLessThan(10);
  });

  it('can be had after one more restart, when it is over', async () => {
    crash(`${kind} 3`, `${kind} 4`);
    const over = await HlsStream.resume(options(`${kind} 4`, 'd', live));
    expect(over.finished).toBe(true);
    expect(over.pid).toBeUndefined();
    expect(over.framesWritten).toBe(FRAMES);
    const replay = await over.playlist();
    expect(replay).toContain('#EXT-X-ENDLIST');
    expect(segmentsOf(replay)).toHaveLength(8);
    expect(await over.multivariantPlaylist()).toMatch(/BANDWIDTH=\d+,AVERAGE-BANDWIDTH=\d+,CODECS="avc1/);
    expect(decodeLuma(readFileSync(await over.download()), WIDTH * HEIGHT)).toHaveLength(FRAMES);
    await over.close({ removeFiles: true });
  });
});

it('a live stream that is not recorded goes on with its window, and with its counts', async () => {
  const live = { windowSegments: 3, record: false };
  const stream = await HlsStream.open(options('window 1', 'a', live));
  await write(stream, 0, 190);
  await segmentsThere(stream, 7);
  crash('window 1', 'window 2');
  await stream.close({ removeFiles: true });
  const resumed = await HlsStream.resume(options('window 2', 'b', live));
  expect(resumed.firstFrame).toBe(175);
  const text = await resumed.playlist();
  expect(text).toContain('#EXT-X-MEDIA-SEQUENCE:5\n');
  expect(text).toContain('#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part-00046.m4s?e=b"');
  await resumed.close({ removeFiles: true });
});

it('a stream that was killed before its first segment begins anew', async () => {
  const stream = await HlsStream.open(options('young 1', 'a'));
  await write(stream, 0, 10);
  crash('young 1', 'young 2');
  await stream.close({ removeFiles: true });
  const resumed = await HlsStream.resume(options('young 2', 'b'));
  expect(resumed.firstFrame).toBe(0);
  await write(resumed, 0, 30);
  await resumed.finish();
  expect(segmentsOf(await resumed.playlist())).toHaveLength(2);
  await resumed.close({ removeFiles: true });
});

it('what a power failure has left of the newest segments is made again', async () => {
  const stream = await HlsStream.open(options('torn 1', 'a'));
  await write(stream, 0, 130);
  await segmentsThere(stream, 4);
  expect(stream.framesStored).toBe(25 * stream.segments);
  crash('torn 1', 'torn 2');
  await stream.close({ removeFiles: true });
  const there = readdirSync(join(root, 'torn 2')).filter((name) => /^segment-\d+\.m4s$/.test(name));
  const [torn, empty] = there.sort().slice(-2);
  truncateSync(join(root, 'torn 2', torn!), readFileSync(join(root, 'torn 2', torn!)).length - 1);
  truncateSync(join(root, 'torn 2', empty!), 0);
  const resumed = await HlsStream.resume(options('torn 2', 'b'));
  expect(resumed.firstFrame).toBe(25 * (there.length - 2));
  expect(resumed.segments).toBe(there.length - 2);
  await write(resumed, resumed.firstFrame, 130);
  await resumed.finish();
  const durations = segmentsOf(await resumed.playlist()).map(({ duration }) => duration);
  expect(durations).toEqual([1, 1, 1, 1, 1, 0.2]);
  await resumed.close({ removeFiles: true });
});

describe('where the notes of a stream are lost', () => {
  const listed = (text: string) => segmentsOf(text).map(({ uri, duration }) => [uri.split('?')[0], duration]);
  let known: (string | number | undefined)[][];
  let startedAt: number;

  beforeAll(async () => {
    const stream = await HlsStream.open(options('lost 1', 'a'));
    await write(stream, 0, 60);
    await segmentsThere(stream, 2);
    crash('lost 1', 'lost 2');
    await stream.close({ removeFiles: true });
    const again = await HlsStream.resume(options('lost 2', 'b'));
    await write(again, 50, 65);
    await again.finish();
    const text = await again.playlist();
    known = listed(text);
    startedAt = segmentsOf(text)[0]!.programDateTime!.getTime();
    crash('lost 2', 'lost 3');
    crash('lost 2', 'lost 4');
    crash('lost 2', 'lost 5');
    await again.close({ removeFiles: true });
  });

  it.each([
    ['lost 3', (notes: string) => rmSync(notes)],
    ['lost 4', (notes: string) => truncateSync(notes, 30)],
  ])('its segments tell what it has: %s', async (name, lose) => {
    lose(join(root, name, 'stream.json'));
    const resumed = await HlsStream.resume(options(name, 'c'));
    expect(resumed.finished).toBe(false);
    expect(resumed.firstFrame).toBe(65);
    expect(listed(await resumed.playlist())).toEqual(known);
    expect(Math.abs(segmentsOf(await resumed.playlist())[0]!.programDateTime!.getTime() - startedAt)).toBeLessThan(
      60_000,
    );
    expect(await resumed.multivariantPlaylist()).toMatch(/CODECS="avc1\.[0-9a-f]{6},mp4a\.40\.2"/);
    // Addresses of before are still good.
    expect(await resumed.media('segment-00001.m4s', 'a')).toBeDefined();
    await write(resumed, 65, 90);
    await resumed.finish();
    expect(decodeLuma(readFileSync(await resumed.download()), WIDTH * HEIGHT).map(frameNumber)).toEqual(
      Array.from({ length: 90 }, (_, n) => n),
    );
    // The init segments of lives that are over keep their names.
    expect(await resumed.playlist()).toContain('URI="init-3.mp4?e=c"');
    await resumed.close({ removeFiles: true });
  });

  it('and what they cannot tell ends the stream with a reason, but does not hide it', async () => {
    for (const name of ['stream.json', 'init.mp4', 'init-2.mp4']) rmSync(join(root, 'lost 5', name));
    await expect(HlsStream.resume(options('lost 5', 'c'))).rejects.toMatchObject({ code: 'internal' });
    const reason = new AppError('internal', 'The stream cannot be read.');
    const shown = await HlsStream.resumeEnded(options('lost 5', 'c'), reason);
    expect(shown.finished).toBe(true);
    await expect(shown.playlist()).rejects.toThrow('The stream cannot be read.');
    await shown.close({ removeFiles: false });
  });
});

it('what is over only shows what there is, and starts no encoder', async () => {
  const stream = await HlsStream.open(options('over 1', 'a'));
  await write(stream, 0, 60);
  await segmentsThere(stream, 2);
  crash('over 1', 'over 2');
  await stream.close({ removeFiles: true });
  const shown = await HlsStream.resumeEnded(options('over 2', 'b'), new AppError('internal', 'Broken.'));
  expect(shown.pid).toBeUndefined();
  const text = await shown.playlist();
  expect(text).toContain('#EXT-X-ENDLIST');
  expect(segmentsOf(text)).toHaveLength(2);
  await shown.close({ removeFiles: true });
});

it('names of init segments are never given twice, also of a life without a segment', async () => {
  const live = { windowSegments: 7, record: false };
  const stream = await HlsStream.open(options('inits 1', 'a', live));
  await write(stream, 0, 20);
  while (!readdirSync(join(root, 'inits 1')).includes('init.mp4'))
    await new Promise((resolve) => setTimeout(resolve, 10));
  crash('inits 1', 'inits 2');
  await stream.close({ removeFiles: true });
  const resumed = await HlsStream.resume(options('inits 2', 'b', live));
  expect(resumed.firstFrame).toBe(0);
  await write(resumed, 0, 60);
  await segmentsThere(resumed, 1);
  expect(await resumed.playlist()).toContain('URI="init-2.mp4?e=b"');
  await resumed.close({ removeFiles: true });
});

it('a talk of days comes back', () => {
  const frames = 25;
  const part = { uri: '', initUri: '', frames, discontinuity: false, startedAt: 0, parts: [] };
  const segments = Array.from({ length: 200_000 }, (_, i) => ({ ...part, number: i + 1, firstFrame: i * frames }));
  const window = new MediaWindow({ windowFrames: 175, uri: (name) => name });
  expect(window.restore(segments)).toHaveLength(199_993);
  expect(window.segments.map(({ number }) => number)).toEqual([
    199_994, 199_995, 199_996, 199_997, 199_998, 199_999, 200_000,
  ]);
});

it('does not take a folder that is not ours, or that another service is at work in', async () => {
  mkdirSync(join(root, 'strange'));
  await expect(HlsStream.resume(options('strange', 'a'))).rejects.toMatchObject({ code: 'internal' });
  mkdirSync(join(root, 'busy'));
  // The program that started this one runs for as long as this one does.
  writeFileSync(join(root, 'busy', '.facecast-session'), String(process.ppid));
  await expect(HlsStream.resume(options('busy', 'a'))).rejects.toMatchObject({ code: 'internal' });
});
