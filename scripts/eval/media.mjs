// Sound and moving pictures through FFmpeg.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** A recording's sound as the models hear it: 16 kHz mono, starting with the first picture where there are pictures. */
export async function readSound(path) {
  const bytes = await collect('ffmpeg', [
    ...['-nostdin', '-v', 'error', '-i', path, '-map', '0:a:0', '-af', 'aresample=16000:async=1:first_pts=0'],
    ...['-ac', '1', '-f', 'f32le', '-'],
  ]);
  return new Float32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4));
}

/** Seconds at which a film's pictures are shown. */
export async function pictureTimes(path) {
  const text = await collect('ffprobe', [
    ...['-v', 'error', '-select_streams', 'v:0', '-show_entries', 'frame=best_effort_timestamp_time'],
    ...['-of', 'csv=p=0', path],
  ]);
  return text.toString().split('\n').map(Number.parseFloat).filter(Number.isFinite);
}

/** A film's pictures one after another, `{width, height, data}` in RGB, reduced to `height` pixels. */
export async function* readPictures(path, size) {
  const ffmpeg = spawn('ffmpeg', [
    ...['-nostdin', '-v', 'error', '-i', path, '-map', '0:v:0', '-fps_mode', 'passthrough'],
    ...['-vf', `scale=${size}:${size}:force_original_aspect_ratio=decrease,pad=${size}:${size}:(ow-iw)/2:(oh-ih)/2`],
    ...['-pix_fmt', 'rgb24', '-f', 'rawvideo', '-'],
  ]);
  const failed = failure('ffmpeg', ffmpeg);
  const length = size * size * 3;
  let parts = [];
  let have = 0;
  for await (const part of ffmpeg.stdout) {
    parts.push(part);
    have += part.length;
    if (have < length) continue;
    let bytes = Buffer.concat(parts);
    for (; bytes.length >= length; bytes = bytes.subarray(length)) {
      yield { width: size, height: size, data: new Uint8Array(bytes.subarray(0, length)) };
    }
    parts = [bytes];
    have = bytes.length;
  }
  await failed;
}

/** Writes I420 frames and a sound of 16 kHz as an MP4 that every browser plays. */
export async function writeFilm(path, { frames, width, height, wave }) {
  const ffmpeg = spawn(
    'ffmpeg',
    [
      ...['-nostdin', '-v', 'error', '-y', '-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-s', `${width}x${height}`],
      ...['-r', '25', '-i', 'pipe:0', '-f', 'f32le', '-ar', '16000', '-ac', '1', '-i', 'pipe:3'],
      ...['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '20', '-colorspace', 'smpte170m', '-color_range', 'tv'],
      ...['-c:a', 'aac', '-b:a', '96k', '-movflags', '+faststart', path],
    ],
    { stdio: ['pipe', 'ignore', 'pipe', 'pipe'] },
  );
  const failed = failure('ffmpeg', ffmpeg);
  // FFmpeg may end early; then `failed` says why, not the broken pipe.
  for (const pipe of [ffmpeg.stdin, ffmpeg.stdio[3]]) pipe.on('error', () => {});
  ffmpeg.stdio[3].end(Buffer.from(wave.buffer, wave.byteOffset, wave.byteLength));
  for (const frame of frames) if (!ffmpeg.stdin.write(frame)) await Promise.race([once(ffmpeg.stdin, 'drain'), failed]);
  ffmpeg.stdin.end();
  await failed;
}

async function collect(command, args) {
  const child = spawn(command, args);
  const failed = failure(command, child);
  const parts = [];
  for await (const part of child.stdout) parts.push(part);
  await failed;
  return Buffer.concat(parts);
}

/** Resolves when the program has done its work; rejects with what it wrote when it has not. */
function failure(command, child) {
  let words = '';
  child.stderr.on('data', (part) => {
    words += part;
  });
  const ended = new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(new Error(`${command} cannot be started; is it installed?`, { cause })));
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`${command}: ${words.trim()}`))));
  });
  // Whoever waits for it later gets the reason; until then it is no stray error.
  ended.catch(() => {});
  return ended;
}
