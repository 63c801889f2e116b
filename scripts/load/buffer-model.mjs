// What a viewer would have seen of pieces of media that came when they came.

/**
 * Plays pieces as a player does: it begins when as much is there as the server has it hold back, plays on at the speed of the
 * clock, and stands still where the next piece is not there yet, until it is.
 * @param pieces in order `{start, seconds, at}`: media time and length in seconds, when it was here in milliseconds
 * @param holdBackSeconds how far behind the first edge it begins
 * @returns `{stalls, stalledSeconds, playedSeconds}`
 */
export function play(pieces, holdBackSeconds) {
  if (pieces.length === 0) return { stalls: 0, stalledSeconds: 0, playedSeconds: 0 };
  const begin = pieces[0].start;
  const enough = pieces.findIndex(({ start, seconds }) => start + seconds - begin >= holdBackSeconds - 1e-6);
  if (enough < 0) return { stalls: 0, stalledSeconds: 0, playedSeconds: 0 };
  /** When media time `begin` is on the screen, moved by each stall. */
  let beganAt = pieces[enough].at;
  let stalls = 0;
  let stalledMilliseconds = 0;
  let played = 0;
  for (const { start, seconds, at } of pieces) {
    const late = at - (beganAt + (start - begin) * 1000);
    if (late > TOLERANCE_MILLISECONDS) {
      stalls++;
      stalledMilliseconds += late;
      beganAt += late;
    }
    played = start + seconds - begin;
  }
  return { stalls, stalledSeconds: stalledMilliseconds / 1000, playedSeconds: played };
}

/** What a decoder has in hand. */
const TOLERANCE_MILLISECONDS = 20;
