/**
 * Milliseconds since the epoch, by a clock that never goes back nor leaps with the machine's time of day. All deadlines are
 * told by it: two clocks would put the frames of one kind of talk before those of the other for as long as they differ.
 */
export function now(): number {
  return performance.timeOrigin + performance.now();
}
