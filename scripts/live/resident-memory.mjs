// Memory that processes hold, from /proc. Linux only.
import { readFile } from 'node:fs/promises';

/** Resident megabytes (2^20 bytes) of a process; undefined when it is gone. */
export async function residentMegabytes(pid) {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = /VmRSS:\s+(\d+)/.exec(text)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) / 1024;
}
