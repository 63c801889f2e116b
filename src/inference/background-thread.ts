import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { basename } from 'node:path';

/** As niceness: half as much of a core as a thread of usual priority that wants it too (sched(7)). */
const NICENESS = 3;

/**
 * Puts the calling thread behind those that serve, package and encode: where the machine is too small, pictures shall
 * come late, for which there is a remedy, and not the stream. Linux only, where threads have priorities of their own.
 */
export function stepBack(): void {
  try {
    setPriority(Number(basename(readlinkSync('/proc/thread-self'))), Number(process.env.FC_NICE ?? NICENESS));
  } catch {
    // Elsewhere, or where it is not allowed, all threads are equal.
  }
}
