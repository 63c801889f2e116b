/**
 * Milliseconds since some instant in the past (CLOCK_MONOTONIC of clock_gettime(2): on Linux, the machine's start). It never goes back
 * nor leaps with the time of day, and it is one for all processes of the machine, so a worker process and the service mean the same by a
 * deadline. Every deadline and every span within a life of the service is told by it; what outlives the process, or is shown to somebody,
 * by `Date`.
 */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
