// What is said in a soak, and when: always the same, so that runs compare.

const UTTERANCE_SECONDS = 5;
/** Where in an utterance the clicks are. */
const CLICKS = [0.1, 2.5, 4.9];
/** From the beginning of an utterance to that of the next one. */
const EVERY_SECONDS = 10;
/** Each so-manieth is interrupted, and each so-manieth is followed by a longer silence. */
const INTERRUPTED = 4;
const FOLLOWED_BY_SILENCE = 7;
const SILENCE_SECONDS = 20;
/** When an interruption comes, after the utterance was fed; the last click is not heard then. */
const INTERRUPTION_SECONDS = 3;

/**
 * The utterances of a soak.
 * @param seconds it lasts
 * @returns `[{at, seconds, clicks, interruptAfter?}]`: seconds from the start, of speech, of its clicks, from being fed
 */
export function soakPlan(seconds) {
  const plan = [];
  let at = 2;
  for (let n = 1; at + UTTERANCE_SECONDS + 3 < seconds; n++) {
    const interrupted = n % INTERRUPTED === 0;
    plan.push({
      at,
      seconds: UTTERANCE_SECONDS,
      clicks: CLICKS,
      ...(interrupted && { interruptAfter: INTERRUPTION_SECONDS }),
    });
    at += n % FOLLOWED_BY_SILENCE === 0 ? UTTERANCE_SECONDS + SILENCE_SECONDS : EVERY_SECONDS;
  }
  return plan;
}
