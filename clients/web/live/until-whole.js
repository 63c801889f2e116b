/** Wait between two looks, milliseconds. */
const LOOK_MS = 500;
/** Looks after which to take what there is: ten seconds. */
const MAX_LOOKS = 20;

/**
 * Waits until the playlist of a live session that has ended lists all that was kept: at first it still ends the window that
 * players follow.
 * @param {string} url of the media playlist
 * @param {AbortSignal} signal
 * @param {number} [lookMs]
 * @throws the signal's reason
 */
export async function untilWhole(url, signal, lookMs = LOOK_MS) {
  for (let look = 0; look < MAX_LOOKS; look++) {
    const text = await fetch(url, { signal, cache: 'no-store' }).then(
      (response) => (response.ok ? response.text() : ''),
      () => '',
    );
    signal.throwIfAborted();
    if (/^#EXT-X-PLAYLIST-TYPE:VOD\s*$/m.test(text)) return;
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}
