import type { Response } from 'express';

/** An answer of which the client takes nothing for so long is given up. */
const SLOW_READER_MILLISECONDS = 30_000;

/**
 * Cuts off a client that does not read what it asked for: what waits for it takes memory, and its connection a place. To be
 * called when the answer begins, because a request that waits for a playlist is rightly quiet.
 */
export function cutOffSlowReader(response: Response, milliseconds = SLOW_READER_MILLISECONDS): void {
  response.setTimeout(milliseconds, () => response.destroy());
}
