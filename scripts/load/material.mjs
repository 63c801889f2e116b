// Portraits and speech of sessions: each has its own picture, and its own tone in its speech.
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
export const SAMPLE_RATE = 24_000;
/** Side of the pictures that are sent, and of the small ones that are compared. */
const SIDE = 512;
export const THUMB = 16;

/** Pictures that look different from each other and stay faces. */
const TINTS = [
  '',
  ',hflip,colorchannelmixer=rr=0.6:bb=1.2',
  ',colorchannelmixer=gg=0.65',
  ',hflip,eq=brightness=0.15',
  ',eq=brightness=-0.2',
  ',hflip,colorchannelmixer=bb=0.5',
];

/**
 * @returns `{portraits, voices}` for so many sessions: `portraits` are `{png, thumb}`, a square picture and itself made
 *   small (RGB); `voices` mono at 24 kHz, as many as there are
 */
export async function readMaterial(root, sessions) {
  const pictures = await files(join(root, '../shared/data/portraits'), join(root, 'clients/web/samples/portrait.jpg'));
  const recordings = await files(join(root, '../shared/data/speech'), join(root, 'clients/web/samples/speech.wav'));
  const portraits = [];
  for (let i = 0; i < sessions; i++) {
    const tint = TINTS[Math.floor(i / pictures.length) % TINTS.length];
    // What has no tint of its own left is told apart by how bright it is.
    const darker = `,eq=brightness=-${(0.02 * Math.floor(i / (pictures.length * TINTS.length))).toFixed(2)}`;
    portraits.push(await portrait(pictures[i % pictures.length], tint + darker));
  }
  const voices = [];
  for (const path of recordings) voices.push(await voice(path));
  return { portraits, voices };
}

/** The files of a folder, or the one that is always there. */
async function files(folder, sample) {
  const names = await readdir(folder).catch(() => []);
  return names.length > 0 ? names.sort().map((name) => join(folder, name)) : [sample];
}

async function portrait(path, tint) {
  const square = `crop='min(iw,ih)':'min(iw,ih)',scale=${SIDE}:${SIDE}:flags=area${tint}`;
  const png = await ffmpeg(['-i', path, '-vf', square, '-frames:v', '1', '-c:v', 'png', '-f', 'image2pipe', '-']);
  const small = `${square},scale=${THUMB}:${THUMB}:flags=area,format=rgb24`;
  const thumb = await ffmpeg(['-i', path, '-vf', small, '-frames:v', '1', '-f', 'rawvideo', '-']);
  return { png, thumb };
}

async function voice(path) {
  const bytes = await ffmpeg(['-i', path, '-ac', '1', '-ar', String(SAMPLE_RATE), '-f', 'f32le', '-']);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

async function ffmpeg(args) {
  const options = { encoding: 'buffer', maxBuffer: 1 << 28 };
  const { stdout } = await execute('ffmpeg', ['-nostdin', '-v', 'error', ...args], options);
  return stdout;
}
