import { readlinkSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { basename } from 'node:path';

/** Steps of niceness: a third of a core where a thread of usual priority wants it too (sched(7)). */
const STEPS = 5;
const NICEST = 19;

/**
 * Puts the calling thread behind those that serve, package and encode: where the machine is too small, pictures shall be
 * late, for which there is a remedy, and not the stream. On Linux, where threads have priorities of their own.
 */
export function stepBack(): void {
  try {
    const thread = Number(basename(readlinkSync('/proc/thread-self')));
    setPriority(thread, Math.min(NICEST, getPriority(thread) + STEPS));
  } catch {
    // Elsewhere all threads are equal.
  }
}
