// What a service holds on to: memory, files, threads, processes, folders. Linux only: it reads /proc.
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { residentMegabytes } from '../live/resident-memory.mjs';

export const NAMES = {
  megabytes: 'MB',
  files: 'open files',
  threads: 'threads',
  children: 'child processes',
  sessionFolders: 'session folders',
  socketFolders: 'socket folders',
};

/**
 * By how much each may be more at the end than before. Threads of the runtime's pool are started when first needed; files: a
 * connection that is kept open. Memory is that of allocators too, which keep what they had; see `whatGrew`.
 */
const SLACK = { megabytes: 30, files: 2, threads: 0, children: 0, sessionFolders: 0, socketFolders: 0 };

/** @param service `{pid, hlsDirectory}` */
export async function holdings({ pid, hlsDirectory }) {
  const threads = await readdir(`/proc/${pid}/task`);
  const children = [];
  for (const thread of threads) {
    const text = await readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '');
    children.push(...text.trim().split(' ').filter(Boolean));
  }
  const sockets = (await readdir(tmpdir())).filter((name) => name.startsWith(`facecast-${pid}-`));
  return {
    megabytes: await residentMegabytes(pid),
    files: (await readdir(`/proc/${pid}/fd`)).length,
    threads: threads.length,
    children: children.length,
    sessionFolders: (await readdir(hlsDirectory)).length,
    socketFolders: sockets.length,
  };
}

/**
 * What there is more of at the end than after the warm-up, in words.
 * @param series what was held: after the warm-up, then after equal numbers of sessions
 */
export function whatGrew(series) {
  const [before, ...later] = series;
  const after = later.at(-1);
  return Object.entries(NAMES).flatMap(([key, name]) => {
    const growth = after[key] - before[key];
    if (growth <= SLACK[key]) return [];
    // Memory that was taken once, late, is no leak: a leak still grows in the second half.
    const half = later[Math.floor((later.length - 1) / 2)];
    if (key === 'megabytes' && after[key] - half[key] <= SLACK[key] / 3) return [];
    return [`${name}: ${Math.round(before[key])} before, ${Math.round(after[key])} after.`];
  });
}
