import { type ChildProcess, execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What the stream needs of FFmpeg: H.264 pictures and AAC sound. */
const REQUIRED_ENCODERS = ['libx264', 'aac'];

const INSTALL_HINT = 'Install it with `apt-get install ffmpeg` (Debian, Ubuntu) or `brew install ffmpeg` (macOS).';

/**
 * Makes sure, at start, that FFmpeg is there and has the encoders of the stream.
 *
 * @param path the FFmpeg program; looked for on PATH when it is a plain name.
 * @returns FFmpeg's own version word, such as `5.1.9`.
 * @throws Error with a sentence that says what is missing and how to install it.
 */
export async function checkFfmpeg(path = 'ffmpeg'): Promise<string> {
  let listing: { stdout: string };
  let banner: { stdout: string };
  try {
    listing = await run(path, ['-hide_banner', '-encoders'], { timeout: 20_000 });
    banner = await run(path, ['-version'], { timeout: 20_000 });
  } catch (cause) {
    throw new Error(`FFmpeg could not be run as "${path}". ${INSTALL_HINT}`, { cause });
  }
  const missing = missingEncoders(listing.stdout);
  if (missing.length > 0) {
    throw new Error(`FFmpeg at "${path}" lacks the encoder ${missing.join(' and ')}. ${INSTALL_HINT}`);
  }
  return /^ffmpeg version (\S+)/.exec(banner.stdout)?.[1] ?? 'unknown';
}

/** Those of the required encoders that the output of `ffmpeg -encoders` does not name. Pure. */
function missingEncoders(listing: string): string[] {
  // A line reads " V....D libx264              libx264 H.264 / AVC / …": flags, name, words.
  const present = new Set(listing.split('\n').map((line) => line.trim().split(/\s+/)[1]));
  return REQUIRED_ENCODERS.filter((name) => !present.has(name));
}

/**
 * Starts FFmpeg for a task that ends by itself, such as copying a finished talk into another container.
 *
 * @returns the process, to feed and to kill, and a promise of its good end that rejects with FFmpeg's last words.
 */
export function runFfmpeg(args: readonly string[], path = 'ffmpeg'): { process: ChildProcess; done: Promise<void> } {
  let process: ChildProcess | undefined;
  const done = new Promise<void>((resolve, reject) => {
    process = execFile(path, ['-hide_banner', '-loglevel', 'error', ...args], (error, _stdout, stderr) => {
      if (error) reject(new Error(`FFmpeg failed: ${stderr.slice(-2000)}`, { cause: error }));
      else resolve();
    });
  });
  return { process: process as ChildProcess, done };
}
