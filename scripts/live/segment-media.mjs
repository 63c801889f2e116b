// What is in segments: their boxes' times, their pictures' codes and their sound.
import { spawn } from 'node:child_process';
import { codeHeight, readCode } from './time-code.mjs';

const SOUND_RATE = 48_000;

/** Boxes (ISO/IEC 14496-12, 4.2) from `start` to `end`: `{type, start, end}` of their contents. */
function* boxes(view, start, end) {
  for (let at = start; at + 8 <= end; ) {
    const size = view.getUint32(at);
    const type = String.fromCharCode(...[4, 5, 6, 7].map((i) => view.getUint8(at + i)));
    if (size < 8 || at + size > end) throw new Error(`A box ${type} of ${size} bytes does not fit.`);
    yield { type, start: at + 8, end: at + size };
    at += size;
  }
}

/**
 * Where a segment's tracks lie on the timeline, by `tfdt` (8.8.12) and the durations in `tfhd` or `trun` (8.8.7, 8.8.8).
 * @returns by track number, `{start, end, samples}` in the track's timescale
 * @throws Error where the fragments of a track do not follow on each other
 */
export function trackTimes(segment) {
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength);
  const tracks = new Map();
  for (const moof of boxes(view, 0, segment.byteLength)) {
    if (moof.type !== 'moof') continue;
    for (const traf of boxes(view, moof.start, moof.end)) {
      if (traf.type !== 'traf') continue;
      const { track, start, duration, samples } = fragmentTimes(view, traf);
      const known = tracks.get(track);
      if (known && known.end !== start) throw new Error(`Track ${track} ends at ${known.end} and goes on at ${start}.`);
      const first = known ?? { start, samples: 0 };
      tracks.set(track, { start: first.start, end: start + duration, samples: first.samples + samples });
    }
  }
  return tracks;
}

function fragmentTimes(view, traf) {
  let [track, start, duration, samples, usual] = [0, 0, 0, 0, 0];
  for (const box of boxes(view, traf.start, traf.end)) {
    const version = view.getUint8(box.start);
    const flags = view.getUint32(box.start) & 0xffffff;
    let at = box.start + 4;
    if (box.type === 'tfhd') {
      track = view.getUint32(at);
      at += 4;
      if (flags & 0x1) at += 8;
      if (flags & 0x2) at += 4;
      if (flags & 0x8) usual = view.getUint32(at);
    } else if (box.type === 'tfdt') {
      start = version === 1 ? Number(view.getBigUint64(at)) : view.getUint32(at);
    } else if (box.type === 'trun') {
      const count = view.getUint32(at);
      at += 4 + (flags & 0x1 ? 4 : 0) + (flags & 0x4 ? 4 : 0);
      const width = [0x100, 0x200, 0x400, 0x800].reduce((sum, flag) => sum + (flags & flag ? 4 : 0), 0);
      for (let i = 0; i < count; i++) duration += flags & 0x100 ? view.getUint32(at + i * width) : usual;
      samples += count;
    }
  }
  return { track, start, duration, samples };
}

/** The codes of all pictures of a film, in its order; undefined where one cannot be read. */
export async function pictureCodes(film, width, now = Date.now()) {
  const height = codeHeight(width);
  const bytes = await ffmpeg(film, [
    ...['-map', '0:v', '-fps_mode', 'passthrough', '-vf', `crop=${width}:${height}:0:0,format=gray`],
    ...['-f', 'rawvideo'],
  ]);
  const size = width * height;
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, i) =>
    readCode(bytes.subarray(i * size, (i + 1) * size), width, { now }),
  );
}

/** The sound of a film, mono at 48 kHz. */
export async function filmSound(film) {
  const bytes = await ffmpeg(film, ['-map', '0:a', '-ac', '1', '-ar', String(SOUND_RATE), '-f', 'f32le']);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** What FFmpeg makes of a film. @throws Error with its words where it complains */
function ffmpeg(film, args) {
  return new Promise((resolve, reject) => {
    const child = spawn('ffmpeg', ['-nostdin', '-v', 'error', '-threads', '1', '-i', 'pipe:0', ...args, 'pipe:1']);
    const pieces = [];
    let words = '';
    child.stdout.on('data', (piece) => pieces.push(piece));
    child.stderr.on('data', (piece) => {
      words += piece;
    });
    child.once('error', (cause) => reject(new Error('ffmpeg cannot be started; is it installed?', { cause })));
    child.once('close', (code) => {
      if (code === 0 && !words) resolve(Buffer.concat(pieces));
      else reject(new Error(`ffmpeg: ${words.trim() || `exit code ${code}`}`));
    });
    // It may end early; then its words say why, not the broken pipe.
    child.stdin.on('error', () => {});
    child.stdin.end(film);
  });
}
