// Processes and their memory, from /proc.
import { readdir, readFile } from 'node:fs/promises';

/** A process and all below it. */
export async function processTree(pid) {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  );
  const children = lists.flatMap((text) => text.trim().split(' ').filter(Boolean).map(Number));
  return [pid, ...(await Promise.all(children.map(processTree))).flat()];
}

/** MiB of main memory that the processes hold. */
export async function residentMegabytes(pids) {
  let sum = 0;
  for (const pid of pids) {
    const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    sum += Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024;
  }
  return sum;
}
