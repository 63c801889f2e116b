// What the service and its encoders take of the machine. Linux only: it reads /proc.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { residentMegabytes } from '../live/resident-memory.mjs';
import { encoderPids } from '../live/service.mjs';

const EVERY_MILLISECONDS = 2000;
const TICKS_PER_SECOND = 100;

/** User and system time of a process so far, in seconds; undefined when it is gone (proc(5), fields 14 and 15). */
export async function cpuSeconds(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The program's name, in brackets, may hold anything.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields && (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/**
 * Watches until the signal says so.
 * @returns `{service, encoders, serviceMegabytes, encoderMegabytes}`: CPU seconds meanwhile, mean resident memory of the
 *   service and of one encoder
 */
export async function watchUsage(pid, signal) {
  const began = await cpuSeconds(pid);
  /** First and last CPU seconds of each encoder seen; one that was started meanwhile began at 0. */
  const encoders = new Map((await encoderPids(pid)).map((encoder) => [encoder, undefined]));
  const memory = { service: [], encoder: [] };
  let service = began;
  for (let first = true; ; first = false) {
    service = (await cpuSeconds(pid)) ?? service;
    for (const encoder of await encoderPids(pid)) {
      const now = await cpuSeconds(encoder);
      if (now === undefined) continue;
      const from = encoders.get(encoder)?.from ?? (first ? now : 0);
      encoders.set(encoder, { from, now });
      memory.encoder.push(await residentMegabytes(encoder));
    }
    memory.service.push(await residentMegabytes(pid));
    if (signal.aborted) break;
    await sleep(EVERY_MILLISECONDS, undefined, { signal }).catch(() => {});
  }
  const spent = [...encoders.values()].reduce((sum, seen) => sum + (seen ? seen.now - seen.from : 0), 0);
  return {
    service: service - began,
    encoders: spent,
    serviceMegabytes: mean(memory.service),
    encoderMegabytes: mean(memory.encoder),
  };
}

function mean(values) {
  const there = values.filter((value) => value !== undefined);
  return there.length > 0 ? there.reduce((sum, value) => sum + value, 0) / there.length : undefined;
}
