/**
 * Milliseconds since the epoch, by a clock that never goes back nor leaps with the machine's time of day. Every deadline is
 * told by it: with two clocks one kind of work would go before another for as long as they differ.
 */
export function now(): number {
  return performance.timeOrigin + performance.now();
}
