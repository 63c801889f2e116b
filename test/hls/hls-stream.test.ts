import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, types } from 'hls-parser';
import { Parser } from 'm3u8-parser';
import { createFile, MP4BoxBuffer } from 'mp4box';
import { Download } from '../../src/hls/download.js';
import { HlsStream, type HlsStreamOptions } from '../../src/hls/hls-stream.js';
import { decodeLuma, decodeSound, probe } from './support/ffmpeg-tools.js';
import { clicks, frameNumber, HEIGHT, loudestNear, testFrames, WIDTH } from './support/test-picture.js';

const SECOND = 48_000;
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
  const size = { width: WIDTH, height: HEIGHT, fps: 25, segmentFrames: 25, partFrames: 5 };
  const stream = await HlsStream.open({ directory: join(root, name), ...size, logger, ...more });
  streams.push(stream);
  return stream;
}

async function bytesOf(stream: HlsStream, name: string): Promise<Buffer> {
  const media = await stream.media(name);
  if (!media) throw new Error(`There is no ${name}.`);
  return 'path' in media ? readFileSync(media.path) : Buffer.from(media.bytes);
}

async function fileOf(stream: HlsStream, name: string): Promise<string> {
  const media = await stream.media(name);
  if (!media || !('path' in media)) throw new Error(`${name} is not on disk.`);
  return media.path;
}

/** Kills FFmpeg and those that take over, until the stream has given up. */
async function killEveryFfmpeg(stream: HlsStream, errors: readonly unknown[]): Promise<void> {
  while (errors.length === 0) {
    const { pid } = stream;
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const lastLine = (text: string) => text.trimEnd().split('\n').at(-1);

describe('HlsStream, a talk of 130 frames fed in bursts', () => {
  const FRAMES = 130;
  const CLICKS = [12_000, 48_000, 95_000, 150_001, 200_000, 240_500];
  const sound = clicks((FRAMES * SECOND) / 25, CLICKS);
  const playlists: string[] = [];
  let stream: HlsStream;
  let folder: string;
  let init: Buffer;
  let segments: Buffer[];

  beforeAll(async () => {
    folder = join(root, 'talk');
    stream = await open('talk');
    const first = stream.playlist();
    // Windows of 13 frames, which share no boundary with segments.
    for (let frame = 0; frame < FRAMES; frame += 13) {
      stream.writeSound(sound.subarray((frame * SECOND) / 25, ((frame + 13) * SECOND) / 25));
      stream.writeFrames(testFrames(frame, 13), 13);
      await stream.drained();
      if (stream.segments > 0) playlists.push(await stream.playlist());
    }
    playlists.unshift(await first);
    await stream.finish();
    playlists.push(await stream.playlist());
    init = await bytesOf(stream, 'init.mp4');
    segments = [];
    for (let n = 1; n <= stream.segments; n++) {
      segments.push(readFileSync(await fileOf(stream, `segment-0000${n}.m4s`)));
    }
  });

  it('lists exactly what was made', () => {
    const start = /PROGRAM-DATE-TIME:(.*)/.exec(playlists[0])?.[1] as string;
    const time = (second: number) => new Date(Date.parse(start) + second * 1000).toISOString();
    const entry = (n: number, duration: string) =>
      `#EXT-X-PROGRAM-DATE-TIME:${time(n - 1)}\n#EXTINF:${duration},\nsegment-0000${n}.m4s\n`;
    expect(playlists.at(-1)).toBe(
      '#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-PLAYLIST-TYPE:EVENT\n' +
        '#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-START:TIME-OFFSET=0\n#EXT-X-MAP:URI="init.mp4"\n' +
        [1, 2, 3, 4, 5].map((n) => entry(n, '1.00000')).join('') +
        `${entry(6, '0.20000')}#EXT-X-ENDLIST\n`,
    );
    expect(stream).toMatchObject({ finished: true, framesWritten: FRAMES, segments: 6 });
  });

  it('is at every step a playlist that two parsers accept and that only grows', () => {
    for (const [step, text] of playlists.entries()) {
      const last = step === playlists.length - 1;
      const parsed = parse(text);
      if (!(parsed instanceof types.MediaPlaylist)) throw new Error('not a media playlist');
      expect(parsed).toMatchObject({ playlistType: 'EVENT', endlist: last, mediaSequenceBase: 1 });
      expect(parsed.segments.length).toBeGreaterThan(0);
      const parser = new Parser();
      parser.push(text);
      parser.end();
      expect(parser.manifest.segments).toHaveLength(parsed.segments.length);
      const entries = (playlist: string) =>
        playlist.split('\n').filter((line) => /^(#EXTINF|#EXT-X-PRO|seg)/.test(line));
      const before = entries(playlists[Math.max(0, step - 1)]);
      expect(entries(text).slice(0, before.length)).toEqual(before);
    }
  });

  it('decodes to every frame, once, in order', () => {
    const frames = decodeLuma(Buffer.concat([init, ...segments]), WIDTH * HEIGHT);
    expect(frames.map(frameNumber)).toEqual(Array.from({ length: FRAMES }, (_, n) => n));
  });

  it('decodes from each segment alone', () => {
    const counts = segments.map((segment, i) => {
      const frames = decodeLuma(Buffer.concat([init, segment]), WIDTH * HEIGHT);
      expect(frameNumber(frames[0])).toBe(i * 25);
      return frames.length;
    });
    expect(counts).toEqual([25, 25, 25, 25, 25, 5]);
  });

  it('has decode times without gaps in both tracks', () => {
    const file = createFile();
    const all = [init, ...segments];
    let offset = 0;
    for (const bytes of all) {
      file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(Uint8Array.from(bytes).buffer, offset));
      offset += bytes.byteLength;
    }
    const boxes = JSON.parse(JSON.stringify(file.getBoxes('tfdt', false), ['baseMediaDecodeTime', 'version']));
    // Parts of five frames; 1.875 sound packets start while a frame is shown.
    const expected = Array.from({ length: FRAMES / 5 }, (_, part) => [
      { version: 1, baseMediaDecodeTime: part * 5 * 512 },
      { version: 1, baseMediaDecodeTime: Math.ceil(part * 5 * 1.875) * 1024 },
    ]);
    expect(boxes).toEqual(expected.flat());
  });

  it('plays sound at the time it was written, to a tenth of a millisecond', () => {
    const decoded = decodeSound(Buffer.concat([init, ...segments]));
    // 5 samples are 0.1 ms
    for (const click of CLICKS) expect(Math.abs(loudestNear(decoded, click, 2400) - click)).toBeLessThanOrEqual(5);
  });

  it('ends sound and picture within a frame of each other', () => {
    writeFileSync(join(root, 'whole.mp4'), Buffer.concat([init, ...segments]));
    const [video, audio] = probe(join(root, 'whole.mp4'));
    expect([video, audio]).toMatchObject([
      { codec_name: 'h264', start_time: '0.000000', duration: '5.200000', nb_read_frames: '130' },
      { codec_name: 'aac', start_time: '0.000000' },
    ]);
    expect(video).toMatchObject({ color_range: 'tv', color_space: 'smpte170m' });
    expect(Math.abs(Number(audio.duration) - 5.2)).toBeLessThan(0.04);
  });

  it('can be played by FFmpeg from its playlist', () => {
    writeFileSync(join(folder, 'playlist.m3u8'), playlists.at(-1) as string);
    const [video, audio] = probe(join(folder, 'playlist.m3u8'), ['-allowed_extensions', 'ALL']);
    expect([video.nb_read_frames, audio.codec_name]).toEqual(['130', 'aac']);
  });

  it('can be had as one MP4 with the index first, made once', async () => {
    const [path, again] = await Promise.all([stream.download(), stream.download()]);
    expect(again).toBe(path);
    const [video, audio] = probe(path);
    expect(video).toMatchObject({ codec_name: 'h264', nb_read_frames: '130', duration: '5.200000' });
    expect(Math.abs(Number(audio.duration) - 5.2)).toBeLessThan(0.04);
    const bytes = readFileSync(path);
    expect(bytes.indexOf('moov')).toBeLessThan(bytes.indexOf('mdat'));
    expect(decodeLuma(bytes, WIDTH * HEIGHT).map(frameNumber)).toEqual(Array.from({ length: FRAMES }, (_, n) => n));
    const decoded = decodeSound(bytes);
    for (const click of CLICKS) expect(Math.abs(loudestNear(decoded, click, 2400) - click)).toBeLessThanOrEqual(5);
    rmSync(path);
    await expect(stream.download()).resolves.toBe(path);
  });

  it('is no MP4 at all rather than one that is too short', async () => {
    const removed = await fileOf(stream, 'segment-00003.m4s');
    rmSync(join(folder, 'talk.mp4'), { force: true });
    rmSync(removed);
    const again = await freshDownload();
    expect(again).toMatchObject({ code: 'internal' });
    expect(existsSync(join(folder, 'talk.mp4'))).toBe(false);
    writeFileSync(removed, segments[2]);
    expect(await freshDownload()).toBe(join(folder, 'talk.mp4'));

    function freshDownload() {
      const names = ['init.mp4', ...segments.map((_, i) => `segment-0000${i + 1}.m4s`)];
      return new Download(join(folder, 'talk.mp4'))
        .file(names.map((name) => join(folder, name)))
        .catch((error) => error);
    }
  });

  it('knows its own files only', async () => {
    expect(await bytesOf(stream, 'init.mp4')).toEqual(readFileSync(join(folder, 'init.mp4')));
    expect(await fileOf(stream, 'segment-00006.m4s')).toBe(join(folder, 'segment-00006.m4s'));
    for (const name of [
      'segment-00007.m4s',
      'segment-00000.m4s',
      'init-2.mp4',
      // No live stream: its parts are in no playlist.
      'part-00001.m4s',
      'part-00027.m4s',
      'talk.mp4',
      '.facecast-session',
      '../talk/init.mp4',
      '',
      'playlist.m3u8',
    ]) {
      expect(await stream.media(name)).toBeUndefined();
    }
  });

  it('has let go of FFmpeg', () => {
    expect(stream.pid).toBeUndefined();
  });
});

describe('HlsStream, a talk of 130 frames during which FFmpeg is killed', () => {
  const FRAMES = 130;
  const CLICKS = [12_000, 60_000, 110_000, 150_001, 200_000, 240_500];
  const sound = clicks((FRAMES * SECOND) / 25, CLICKS);
  let stream: HlsStream;
  let text: string;
  let segments: Buffer[];

  beforeAll(async () => {
    stream = await open('killed');
    for (let frame = 0; frame < FRAMES; frame += 13) {
      stream.writeSound(sound.subarray((frame * SECOND) / 25, ((frame + 13) * SECOND) / 25));
      stream.writeFrames(testFrames(frame, 13), 13);
      await stream.drained();
      if (frame === 65) {
        await stream.playlist();
        process.kill(stream.pid as number, 'SIGKILL');
      }
    }
    await stream.finish();
    text = await stream.playlist();
    segments = [];
    for (const { uri } of (parse(text) as types.MediaPlaylist).segments) segments.push(await bytesOf(stream, uri));
  });

  it('goes on after a discontinuity, with an init segment of its own', () => {
    const { segments: listed, endlist } = parse(text) as types.MediaPlaylist;
    const taken = listed.findIndex(({ discontinuity }) => discontinuity);
    expect(taken).toBeGreaterThan(0);
    expect(endlist).toBe(true);
    expect(listed.filter(({ discontinuity }) => discontinuity)).toHaveLength(1);
    expect(listed.map(({ map }) => map!.uri)).toEqual(listed.map((_, i) => (i < taken ? 'init.mp4' : 'init-2.mp4')));
    expect(listed.reduce((sum, { duration }) => sum + duration, 0)).toBeCloseTo(FRAMES / 25, 5);
    for (const [i, { programDateTime }] of listed.entries()) {
      if (i === 0) continue;
      const before = listed[i - 1]!;
      expect(programDateTime!.getTime() - before.programDateTime!.getTime()).toBe(Math.round(1000 * before.duration));
    }
  });

  it('loses no frame and shows none twice', async () => {
    const init = await bytesOf(stream, 'init.mp4');
    const frames = decodeLuma(Buffer.concat([init, ...segments]), WIDTH * HEIGHT);
    expect(frames.map(frameNumber)).toEqual(Array.from({ length: FRAMES }, (_, n) => n));
  });

  it('has the init segment again, byte for byte: all encoders of a talk are alike', async () => {
    expect(await bytesOf(stream, 'init-2.mp4')).toEqual(await bytesOf(stream, 'init.mp4'));
  });

  it('plays sound at the time it was written, in the download too', async () => {
    const mp4 = readFileSync(await stream.download());
    expect(decodeLuma(mp4, WIDTH * HEIGHT).map(frameNumber)).toEqual(Array.from({ length: FRAMES }, (_, n) => n));
    const decoded = decodeSound(mp4);
    for (const click of CLICKS) expect(Math.abs(loudestNear(decoded, click, 2400) - click)).toBeLessThanOrEqual(5);
  });
});

describe('HlsStream', () => {
  it('publishes a segment once the sound is past it, before the talk ends', async () => {
    const stream = await open('ahead');
    stream.writeSound(new Float32Array(1.2 * SECOND));
    stream.writeFrames(testFrames(0, 25), 25);
    expect(lastLine(await stream.playlist())).toBe('segment-00001.m4s');
    expect(await stream.media('segment-00001.m4s')).toBeDefined();
    expect(stream.finished).toBe(false);
    await expect(stream.download()).rejects.toMatchObject({ code: 'not_finished' });
  });

  it('answers not_ready when no segment comes in time', async () => {
    const stream = await open('slow', { waitSeconds: 0.1 });
    await expect(stream.playlist()).rejects.toMatchObject({ code: 'not_ready', retryAfterSeconds: 1 });
  });

  it('frees a waiter whose client has left', async () => {
    const stream = await open('left');
    const client = new AbortController();
    const waiting = expect(stream.playlist({}, client.signal)).rejects.toMatchObject({ name: 'AbortError' });
    client.abort();
    await waiting;
    await expect(stream.playlist({}, client.signal)).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('wakes every waiter when it is closed, and leaves nothing', async () => {
    const stream = await open('closed');
    const pid = stream.pid as number;
    stream.writeSound(new Float32Array(SECOND));
    stream.writeFrames(testFrames(0, 20), 20);
    const waiting = Promise.allSettled([stream.playlist(), stream.playlist()]);
    await Promise.all([stream.close({ removeFiles: true }), stream.close({ removeFiles: true })]);
    for (const outcome of await waiting) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'session_not_found' } });
    }
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(existsSync(join(root, 'closed'))).toBe(false);
    await expect(stream.drained()).rejects.toMatchObject({ code: 'session_closed' });
    await expect(stream.finish()).rejects.toMatchObject({ code: 'session_closed' });
  });

  it('keeps its files when asked to', async () => {
    const stream = await open('kept');
    stream.writeFrames(testFrames(0, 5), 5);
    await stream.finish();
    await stream.close({ removeFiles: false });
    expect(readdirSync(join(root, 'kept')).sort()).toEqual([
      '.facecast-session',
      'init.mp4',
      'segment-00001.m4s',
      'stream.json',
    ]);
  });

  it('says that nothing was said in a talk without a frame', async () => {
    const stream = await open('silent');
    const waiting = expect(stream.playlist()).rejects.toMatchObject({ code: 'not_found' });
    await stream.finish();
    await waiting;
    await expect(stream.download()).rejects.toMatchObject({ code: 'not_found' });
    expect(stream.segments).toBe(0);
  });

  it('names its edition in every URI, so that no cache mixes two talks of one address', async () => {
    const stream = await open('edition', { edition: 'ab12' });
    stream.writeFrames(testFrames(0, 30), 30);
    await stream.finish();
    const uris = (await stream.playlist()).match(/\S+\?e=ab12/g);
    expect(uris).toEqual(['#EXT-X-MAP:URI="init.mp4?e=ab12', 'segment-00001.m4s?e=ab12', 'segment-00002.m4s?e=ab12']);
    expect(await stream.download()).toBeDefined();
  });

  it('tells once when FFmpeg dies again and again, and ends the playlist at what is there', async () => {
    const errors: unknown[] = [];
    const stream = await open('dies', { onError: (error) => errors.push(error) });
    stream.writeSound(new Float32Array(2 * SECOND));
    stream.writeFrames(testFrames(0, 37), 37);
    await stream.playlist();
    const late = expect(stream.drained().then(() => stream.finish())).rejects.toMatchObject({ code: 'internal' });
    await killEveryFfmpeg(stream, errors);
    await late;
    expect(errors).toMatchObject([{ code: 'internal', message: 'The encoder stopped unexpectedly.' }]);
    // The parts of the second that was being filled are a segment.
    const text = await stream.playlist();
    expect(lastLine(text)).toBe('#EXT-X-ENDLIST');
    const { segments } = parse(text) as types.MediaPlaylist;
    const lasted = segments.reduce((sum, { duration }) => sum + duration, 0);
    expect(Math.round(25 * lasted) % 5).toBe(0);
    const media = [await bytesOf(stream, 'init.mp4')];
    for (const { uri } of segments) media.push(await bytesOf(stream, uri));
    const frames = decodeLuma(Buffer.concat(media), WIDTH * HEIGHT).map(frameNumber);
    expect(frames).toEqual(Array.from({ length: Math.round(25 * lasted) }, (_, n) => n));
    await expect(stream.drained()).rejects.toMatchObject({ code: 'internal' });
    await expect(stream.download()).rejects.toMatchObject({ code: 'not_finished' });
  });

  it('gives the error to a viewer when no FFmpeg lives until the first segment', async () => {
    const errors: unknown[] = [];
    const stream = await open('dies-early', { onError: (error) => errors.push(error) });
    const waiting = expect(stream.playlist()).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('ended before its first segment'),
    });
    await killEveryFfmpeg(stream, errors);
    await waiting;
  });

  it('tells once when the disk fails', async () => {
    const errors: unknown[] = [];
    const stream = await open('no-disk', { onError: (error) => errors.push(error) });
    rmSync(join(root, 'no-disk'), { recursive: true });
    stream.writeFrames(testFrames(0, 30), 30);
    await expect(stream.finish()).rejects.toMatchObject({
      code: 'internal',
      message: 'The stream could not be stored.',
    });
    expect(errors).toHaveLength(1);
  });

  it('refuses frames of another size', async () => {
    const stream = await open('size');
    expect(() => stream.writeFrames(new Uint8Array(100), 1)).toThrow('Not 1 frames.');
  });

  it('does not take a folder that is not its own', async () => {
    await expect(open('.')).rejects.toMatchObject({ code: 'internal' });
    expect(existsSync(root)).toBe(true);
  });
});
