import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Encoder, type EncoderOptions } from '../../src/hls/encoder.js';
import type { FlvPacket } from '../../src/hls/flv.js';
import { FRAME_BYTES, HEIGHT, testFrames, WIDTH } from './support/test-picture.js';

const SECOND = 48_000;
/** The folder of the sockets that a running FFmpeg was given. */
const socketFolder = (pid: number) =>
  /unix:(.*?)\/frames/.exec(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))?.[1] as string;
const openHandles = () => readdirSync('/proc/self/fd').length;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function open(more: Partial<EncoderOptions> = {}) {
  const packets: FlvPacket[] = [];
  const errors: unknown[] = [];
  const logged: unknown[] = [];
  const encoder = await Encoder.open({
    ...{ width: WIDTH, height: HEIGHT, fps: 25, segmentFrames: 25, soundRate: SECOND },
    picture: { width: WIDTH, height: HEIGHT },
    logger: { error: (...line: unknown[]) => logged.push(line) } as EncoderOptions['logger'],
    onPacket: (packet) => packets.push(packet),
    onError: (error) => errors.push(error),
    ...more,
  });
  const count = (kind: FlvPacket['kind']) => packets.filter((packet) => packet.kind === kind).length;
  return { encoder, packets, errors, logged, count };
}

describe('Encoder', () => {
  it('encodes every frame, with an IDR picture at each segment and nowhere else', async () => {
    const { encoder, packets, count, errors } = await open();
    encoder.writeSound(new Float32Array(2.4 * SECOND));
    encoder.writeFrames(testFrames(0, 60));
    await encoder.end();
    const pictures = packets.filter((packet) => packet.kind === 'video');
    expect(pictures.map((picture) => picture.keyFrame)).toEqual(Array.from({ length: 60 }, (_, n) => n % 25 === 0));
    expect([count('video-configuration'), count('sound-configuration')]).toEqual([1, 1]);
    expect(count('sound')).toBeGreaterThanOrEqual(113); // 115200 samples
    await encoder.close();
    expect(errors).toEqual([]);
  });

  it('fills the sound up with silence to the end of the picture', async () => {
    const { encoder, count } = await open();
    encoder.writeSound(new Float32Array(SECOND / 10));
    encoder.writeFrames(testFrames(0, 50));
    await encoder.end();
    expect(count('video')).toBe(50);
    expect(count('sound')).toBeGreaterThanOrEqual(94); // 96000 samples
    await encoder.close();
  });

  it('ends without a frame', async () => {
    const { encoder, packets, errors, logged } = await open();
    encoder.writeSound(new Float32Array(SECOND));
    await encoder.end();
    await encoder.close();
    expect([packets, errors, logged]).toEqual([[], [], []]);
  });

  it('makes a writer that is too fast wait, but not one whose sound is late', async () => {
    const { encoder } = await open();
    // Frames without sound: FFmpeg cannot take them, and waiting for it would never end.
    encoder.writeFrames(new Uint8Array(200 * FRAME_BYTES));
    await encoder.drained();
    encoder.writeSound(new Float32Array(8 * SECOND));
    let drained = false;
    const waiting = encoder.drained().then(() => {
      drained = true;
    });
    await Promise.resolve();
    expect(drained).toBe(false);
    await waiting;
    // Sound without frames, likewise.
    encoder.writeSound(new Float32Array(60 * SECOND));
    await encoder.drained();
    await encoder.close();
  });

  it('gives its packets out soon: a frame is not held back for the next one', async () => {
    const { encoder, count } = await open();
    // Sound 200 ms ahead, as a live talk has it.
    encoder.writeSound(new Float32Array(1.2 * SECOND));
    encoder.writeFrames(testFrames(0, 25));
    for (let waited = 0; count('video') < 25 && waited < 5000; waited += 20) await pause(20);
    expect(count('video')).toBe(25);
    await encoder.close();
  });

  it('tells once when FFmpeg dies, and rejects from then on', async () => {
    const { encoder, errors, logged } = await open();
    encoder.writeSound(new Float32Array(SECOND));
    encoder.writeFrames(testFrames(0, 10));
    const folder = socketFolder(encoder.pid as number);
    expect(existsSync(folder)).toBe(true);
    const end = expect(encoder.end()).rejects.toMatchObject({ code: 'internal' });
    process.kill(encoder.pid as number, 'SIGKILL');
    await end;
    await expect(encoder.drained()).rejects.toMatchObject({ code: 'internal' });
    await expect(encoder.end()).rejects.toMatchObject({ code: 'internal' });
    expect(errors).toHaveLength(1);
    expect(logged).toHaveLength(1);
    expect((errors[0] as Error).message).not.toContain('SIGKILL');
    expect(String((errors[0] as Error).cause)).toContain('SIGKILL');
    await encoder.close();
    expect(existsSync(folder)).toBe(false);
  });

  it('wakes a waiting writer when FFmpeg dies', async () => {
    const { encoder } = await open();
    encoder.writeSound(new Float32Array(20 * SECOND));
    encoder.writeFrames(new Uint8Array(500 * FRAME_BYTES));
    const waiting = expect(encoder.drained()).rejects.toMatchObject({ code: 'internal' });
    process.kill(encoder.pid as number, 'SIGKILL');
    await waiting;
    await encoder.close();
  });

  it('does not take for encoded what was on its way when FFmpeg died', async () => {
    for (let round = 0; round < 3; round++) {
      const { encoder } = await open();
      encoder.writeFrames(new Uint8Array(500 * FRAME_BYTES));
      encoder.writeSound(new Float32Array(20 * SECOND));
      // A socket's name goes when FFmpeg has connected.
      const frames = `${socketFolder(encoder.pid as number)}/frames`;
      for (let waited = 0; existsSync(frames) && waited < 5000; waited += 1) await pause(1);
      const waiting = expect(encoder.drained()).rejects.toMatchObject({ code: 'internal' });
      process.kill(encoder.pid as number, 'SIGKILL');
      await waiting;
      await encoder.close();
    }
  });

  it('keeps what FFmpeg said for the log', async () => {
    // An odd width is an error to libx264.
    const { encoder, errors } = await open({ width: 127, height: 96, picture: { width: 127, height: 96 } });
    encoder.writeSound(new Float32Array(SECOND));
    encoder.writeFrames(new Uint8Array((127 * 96 * 3) / 2));
    await expect(encoder.end()).rejects.toMatchObject({
      code: 'internal',
      message: 'The encoder stopped unexpectedly.',
    });
    expect(String((errors[0] as Error).cause)).toContain('width not divisible by 2');
    await encoder.close();
  });

  it('does not open when the system cannot make the process, and leaves the service alive', async () => {
    // fluent-ffmpeg looks at FFmpeg once before its first start: what fails here is the start itself.
    await (await open()).encoder.close();
    // Of this process: tests beside this one have encoders of their own.
    const own = `facecast-${process.pid}-`;
    const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith(own)).length;
    const before = folders();
    const errors: unknown[] = [];
    const opening = open({ program: '/nonexistent/ffmpeg', onError: (error) => errors.push(error) });
    await expect(opening).rejects.toMatchObject({ code: 'internal', message: 'The encoder stopped unexpectedly.' });
    await expect(opening).rejects.toHaveProperty('cause.message', expect.stringContaining('ENOENT'));
    expect(errors).toEqual([]);
    await pause(50);
    expect(folders()).toBeLessThanOrEqual(before);
  });

  it('leaves no process, socket or folder behind', async () => {
    await (await open()).encoder.close();
    const handles = openHandles();
    for (let round = 0; round < 5; round++) {
      const { encoder, errors } = await open();
      const pid = encoder.pid as number;
      const folder = socketFolder(pid);
      encoder.writeSound(new Float32Array(SECOND));
      encoder.writeFrames(testFrames(0, 20));
      if (round % 2) await encoder.drained();
      const late = encoder.drained();
      await Promise.all([encoder.close(), encoder.close()]);
      await late.catch(() => {});
      expect(existsSync(`/proc/${pid}`)).toBe(false);
      expect(existsSync(folder)).toBe(false);
      await expect(encoder.drained()).rejects.toMatchObject({ code: 'session_closed' });
      expect(errors).toEqual([]);
    }
    await pause(50);
    expect(openHandles()).toBeLessThanOrEqual(handles);
  });
});
