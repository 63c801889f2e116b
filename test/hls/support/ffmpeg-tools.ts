import { execFileSync } from 'node:child_process';

export interface ProbedStream {
  readonly codec_name: string;
  readonly start_time: string;
  readonly duration: string;
  readonly nb_read_frames: string;
  readonly color_range?: string;
  readonly color_space?: string;
}

const MAX_BUFFER = 256 * 1024 * 1024;

/** What ffprobe says of every track, after decoding all of it; it must not have complained. */
export function probe(path: string, options: readonly string[] = []): ProbedStream[] {
  const args = ['-v', 'error', '-count_frames', '-show_streams', '-of', 'json', ...options, path];
  return JSON.parse(
    execFileSync('ffprobe', args, { maxBuffer: MAX_BUFFER, stdio: ['ignore', 'pipe', 'inherit'] }).toString(),
  ).streams;
}

/** Luma planes of every frame, decoded from bytes; throws when FFmpeg complains of anything. */
export function decodeLuma(media: Uint8Array, planeBytes: number): Uint8Array[] {
  const all = decode(media, ['-map', '0:v', '-vsync', 'passthrough', '-vf', 'extractplanes=y', '-f', 'rawvideo']);
  return Array.from({ length: all.length / planeBytes }, (_, n) => all.subarray(n * planeBytes, (n + 1) * planeBytes));
}

/** Mono samples at the file's own rate, decoded from bytes. */
export function decodeSound(media: Uint8Array): Int16Array {
  const bytes = decode(media, ['-map', '0:a', '-f', 's16le']);
  return new Int16Array(Uint8Array.from(bytes).buffer);
}

function decode(media: Uint8Array, options: readonly string[]): Buffer {
  const args = ['-v', 'error', '-xerror', '-i', 'pipe:0', ...options, 'pipe:1'];
  return execFileSync('ffmpeg', args, { input: media, maxBuffer: MAX_BUFFER });
}
