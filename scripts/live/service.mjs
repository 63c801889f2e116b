// The real service with a time code in its frames.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { LOG_LEVELS, startService } from '../service-process.mjs';

/**
 * Starts it as `startService` does.
 * @param options `root`: the repository, built; `environment`: settings besides; `onFrame`: told of each frame when it is
 *   handed to the encoder (see `stamp.mjs`); without it nothing is sent between the processes; `quiet`: its warnings are
 *   kept from standard error
 */
export function startStampedService({ root, environment = {}, onFrame, quiet = false }) {
  return startService({
    root,
    environment: { TELL_FRAMES: onFrame ? 'yes' : '', ...environment },
    preload: pathToFileURL(join(root, 'scripts/live/stamp.mjs')).href,
    onMessage: onFrame,
    leastLevel: quiet ? LOG_LEVELS.none : LOG_LEVELS.warn,
  });
}

/** The FFmpeg processes of a service, in the order they were started. Linux only: it reads /proc. */
export async function encoderPids(pid) {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const found = [];
  for (const thread of threads) {
    const text = await readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '');
    for (const child of text.trim().split(' ').filter(Boolean).map(Number)) {
      const name = await readFile(`/proc/${child}/comm`, 'utf8').catch(() => '');
      if (name.trim() === 'ffmpeg') found.push(child);
    }
  }
  return found.sort((a, b) => a - b);
}
