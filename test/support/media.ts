import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Puts bytes into a file for as long as `use` runs. */
async function withFile<T>(bytes: Uint8Array, use: (path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'facecast-media-'));
  try {
    const path = join(folder, 'media');
    await writeFile(path, bytes);
    return await use(path);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A checksum of every decoded frame of one kind (`v` or `a`). Any error or warning of the decoder is thrown. */
export function decodedFrames(media: Uint8Array, kind: 'v' | 'a'): Promise<string[]> {
  return withFile(media, async (path) => {
    const { stdout, stderr } = await execute('ffmpeg', [
      ...['-nostdin', '-v', 'warning', '-i', path, '-map', `0:${kind}`, '-f', 'framemd5', '-'],
    ]);
    if (stderr) throw new Error(stderr);
    const lines = stdout.split('\n').filter((line) => line && !line.startsWith('#'));
    return lines.map((line) => line.split(',').at(-1)!.trim());
  });
}

/** Seconds that the picture and the sound last, by their packets' times. */
export function durations(media: Uint8Array): Promise<{ video: number; audio: number }> {
  return withFile(media, async (path) => {
    const of = async (kind: 'v' | 'a') => {
      const { stdout } = await execute('ffprobe', [
        ...[
          '-v',
          'error',
          '-select_streams',
          kind,
          '-show_entries',
          'packet=pts_time,duration_time',
          '-of',
          'csv=p=0',
          path,
        ],
      ]);
      const ends = stdout
        .trim()
        .split('\n')
        .map((line) => {
          const [start, length] = line.split(',').map(Number);
          return start! + length!;
        });
      return Math.max(...ends);
    };
    return { video: await of('v'), audio: await of('a') };
  });
}

/** The sound of a file, decoded to mono at 48 kHz. */
export function sound(media: Uint8Array): Promise<Float32Array> {
  return withFile(media, async (path) => {
    const { stdout } = await execute(
      'ffmpeg',
      ['-nostdin', '-v', 'error', '-i', path, '-vn', '-ac', '1', '-ar', '48000', '-f', 'f32le', '-'],
      { encoding: 'buffer', maxBuffer: 1 << 30 },
    );
    return new Float32Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + stdout.length));
  });
}

/** Cuts a recording out of a file as mono 16-bit PCM at `sampleRate`, headerless. */
export async function pcm(path: string, sampleRate: number, seconds: number): Promise<Buffer> {
  const { stdout } = await execute(
    'ffmpeg',
    [
      '-nostdin',
      '-v',
      'error',
      '-i',
      path,
      '-t',
      String(seconds),
      '-ac',
      '1',
      '-ar',
      String(sampleRate),
      '-f',
      's16le',
      '-',
    ],
    { encoding: 'buffer', maxBuffer: 1 << 30 },
  );
  return stdout;
}

/** 16-bit mono PCM with a WAV header before it. */
export function wav(samples: Buffer, sampleRate: number): Buffer {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + samples.length, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(sampleRate, 24);
  header.writeUInt32LE(sampleRate * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(samples.length, 40);
  return Buffer.concat([header, samples]);
}
