/** Wait between two questions, milliseconds. */
const RETRY_MS = 500;
/** Questions without an answer, in a row, after which to give up: half a minute or more. */
const MAX_UNANSWERED = 60;

/**
 * Asks for a playlist until it is there. A service that has none yet answers 503; now and then none may answer at all.
 * @param {string} url
 * @param {AbortSignal} signal
 * @param {number} [retryMs]
 */
export async function untilThere(url, signal, retryMs = RETRY_MS) {
  for (let unanswered = 0; unanswered < MAX_UNANSWERED; ) {
    const status = await statusOf(url, signal);
    if (status === 200) return;
    if (status === undefined) unanswered++;
    else if (status === 503) unanswered = 0;
    else throw new Error(`The stream is not there (${status}).`);
    await new Promise((resolve) => setTimeout(resolve, retryMs));
    signal.throwIfAborted();
  }
  throw new Error('The service does not answer.');
}

/**
 * @param {string} url
 * @param {AbortSignal} signal
 * @returns {Promise<number | undefined>} undefined when there is no answer, be it from the service or a gateway's
 */
async function statusOf(url, signal) {
  try {
    const { status } = await fetch(url, { signal, cache: 'no-store' });
    return [429, 502, 504].includes(status) ? undefined : status;
  } catch (error) {
    if (signal.aborted) throw error;
    return undefined;
  }
}
