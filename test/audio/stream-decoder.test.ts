import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { PcmAudio } from '../../src/audio/pcm.js';
import { PcmStream } from '../../src/audio/pcm-stream.js';
import { STREAM_DECODER_ARGUMENTS, StreamDecoder } from '../../src/audio/stream-decoder.js';
import { sampleSpeech } from '../support/service.js';

const execute = promisify(execFile);
const open: StreamDecoder[] = [];

/** A recording as MediaRecorder makes it: written to a pipe, so no lengths and no index. */
async function encoded(codec: string, input: readonly string[]): Promise<Buffer> {
  const { stdout } = await execute(
    'ffmpeg',
    ['-nostdin', '-v', 'error', ...input, '-c:a', codec, '-b:a', '64k', '-live', '1', '-f', 'webm', '-'],
    { encoding: 'buffer', maxBuffer: 1 << 28 },
  );
  return stdout;
}

const recording = (...input: string[]) => encoded('libopus', input);

let speech: Buffer;
beforeAll(async () => {
  speech = await recording('-i', sampleSpeech, '-t', '3');
});
afterEach(() => {
  for (const decoder of open.splice(0)) decoder.close();
});

function decoder(
  onSound: (sound: PcmAudio) => Promise<void> = async () => {},
  program?: string,
): { decoder: StreamDecoder; samples: () => number; sounds: PcmAudio[] } {
  const sounds: PcmAudio[] = [];
  const made = new StreamDecoder({
    onSound: (sound) => {
      sounds.push(sound);
      return onSound(sound);
    },
    ...(program && { program }),
  });
  open.push(made);
  return { decoder: made, sounds, samples: () => sounds.reduce((sum, { samples }) => sum + samples.length, 0) };
}

/** What FFmpeg makes of the whole file. */
async function decodedWhole(bytes: Buffer): Promise<Buffer> {
  const child = execute('ffmpeg', [...STREAM_DECODER_ARGUMENTS], { encoding: 'buffer', maxBuffer: 1 << 28 });
  child.child.stdin!.end(bytes);
  return (await child).stdout;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(10);
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('PcmStream', () => {
  it('gives the samples of the whole, wherever it is cut', () => {
    const bytes = Buffer.alloc(14);
    [0, 1, -1, 32767, -32768, 256, -256].forEach((value, i) => {
      bytes.writeInt16LE(value, 2 * i);
    });
    const whole = [0, 1, -1, 32767, -32768, 256, -256].map((value) => value / 32768);
    for (let first = 0; first <= 14; first++) {
      for (let second = first; second <= 14; second++) {
        const pcm = new PcmStream();
        const pieces = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)];
        expect(pieces.flatMap((piece) => [...pcm.push(piece)])).toEqual(whole);
      }
    }
  });
});

describe('StreamDecoder', () => {
  it('gives the sound of the whole recording, cut into pieces of any size', async () => {
    const whole = await decodedWhole(speech);
    expect(whole.length / 2 / 48000).toBeGreaterThan(2.9);
    const { decoder: stream, sounds } = decoder();
    for (let at = 0; at < speech.length; at += 777) await stream.write(speech.subarray(at, at + 777));
    await stream.end();
    expect(new Set(sounds.map(({ sampleRate }) => sampleRate))).toEqual(new Set([48000]));
    expect(sounds.flatMap(({ samples }) => [...samples])).toEqual([...new PcmStream().push(whole)]);
  });

  it('gives sound while the recording goes on, all but what is not whole yet', async () => {
    const { decoder: stream, samples } = decoder();
    await stream.write(speech.subarray(0, speech.length >> 1));
    await stream.settle(500);
    const half = samples() / 48000;
    expect(half).toBeGreaterThan(1.2);
    expect(half).toBeLessThan(1.8);
    await stream.write(speech.subarray(speech.length >> 1));
    await stream.settle(500);
    // Nothing was held back for the end.
    const all = samples();
    await stream.end();
    expect(samples()).toBe(all);
  });

  it('reads no further while the sound is not taken, and loses none of it', async () => {
    const long = await recording('-f', 'lavfi', '-i', 'anoisesrc=r=48000:a=0.1', '-t', '40');
    const whole = (await decodedWhole(long)).length / 2;
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { decoder: stream, sounds, samples } = decoder(() => gate);
    const written = (async () => {
      for (let at = 0; at < long.length; at += 10_000) await stream.write(long.subarray(at, at + 10_000));
      await stream.end();
    })();
    await until(() => sounds.length > 0);
    await sleep(500);
    expect(sounds).toHaveLength(1);
    release();
    await written;
    expect(samples()).toBe(whole);
  });

  it('takes the sound of a recording with a picture and leaves the picture alone', async () => {
    const filmed = await recording(
      ...['-f', 'lavfi', '-i', 'testsrc=size=64x64:rate=25', '-i', sampleSpeech, '-t', '2', '-c:v', 'libvpx'],
    );
    const { decoder: stream, samples } = decoder();
    await stream.write(filmed);
    await stream.end();
    expect(samples() / 48000).toBeCloseTo(2, 1);
  });

  it('averages channels and keeps within full scale', async () => {
    const stereo = await recording(
      ...['-f', 'lavfi', '-i', 'aevalsrc=0.99*sgn(sin(700*t))|0.99*sgn(sin(700*t)):s=48000', '-t', '1'],
    );
    const { decoder: stream, sounds } = decoder();
    await stream.write(stereo);
    await stream.end();
    const peak = Math.max(...sounds.flatMap(({ samples }) => [...samples].map(Math.abs)));
    expect(peak).toBeGreaterThan(0.9);
    expect(peak).toBeLessThanOrEqual(1);
  });

  it.each([
    ['noise', async () => Buffer.alloc(100_000, 'no recording at all ')],
    ['WAV', async () => (await execute('cat', [sampleSpeech], { encoding: 'buffer', maxBuffer: 1 << 28 })).stdout],
    [
      'a playlist that names a file',
      async () => Buffer.from(`#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n${sampleSpeech}\n#EXT-X-ENDLIST\n`),
    ],
    ['Vorbis in WebM', () => encoded('libvorbis', ['-i', sampleSpeech, '-t', '1'])],
  ])('refuses %s', async (_name, make) => {
    const { decoder: stream, samples } = decoder();
    await stream.write(await make());
    await expect(stream.end()).rejects.toMatchObject({
      code: 'invalid_audio',
      message: expect.stringContaining('Opus in WebM'),
    });
    expect(samples()).toBe(0);
    // What comes after is ignored, and nothing hangs.
    await stream.write(speech);
    await stream.settle(500);
  });

  it('gives up what goes on and on without sound', async () => {
    const { decoder: stream } = decoder();
    // A proper head, then an element Void (RFC 8794, 11.3.2) of 256 MB, which is to be skipped.
    await stream.write(speech.subarray(0, speech.indexOf('1f43b675', 'hex')));
    await stream.write(Buffer.from('ec0100000010000000', 'hex'));
    const nothing = Buffer.alloc(512 * 1024);
    for (let i = 0; i < 10; i++) await stream.write(nothing);
    await expect(stream.ended).rejects.toMatchObject({ code: 'invalid_audio' });
  });

  it('ends in peace where nothing was written, and when it is closed in the middle', async () => {
    await decoder().decoder.end();
    const { decoder: stream, samples } = decoder();
    await stream.write(speech.subarray(0, speech.length >> 1));
    await until(() => samples() > 0);
    stream.close();
    await stream.ended;
    await stream.end();
    await until(() => !isRunning(stream.pid!));
  });

  it('passes on what its taker throws', async () => {
    const { decoder: stream } = decoder(async () => {
      throw new RangeError('enough');
    });
    await stream.write(speech);
    await expect(stream.ended).rejects.toThrow('enough');
  });

  it('says so when there is no FFmpeg', async () => {
    const { decoder: stream } = decoder(undefined, 'no-such-ffmpeg');
    await expect(stream.ended).rejects.toMatchObject({ code: 'internal', message: 'FFmpeg cannot be started.' });
    await stream.write(speech);
  });
});
