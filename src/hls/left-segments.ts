import type { ListedSegment } from './playlist.js';

/**
 * Segments that have left the playlist and may still be asked for. RFC 8216bis 6.2.2: "clients MUST be able to download the
 * segment until the time at which it first appeared in the Playlist plus the segment's Availability Duration", which is its
 * own duration and that of the longest playlist with it. Here that time begins only when the segment leaves.
 */
export class LeftSegments {
  readonly #longestPlaylist: number;
  #segments: { readonly number: number; readonly removableAt: number }[] = [];

  /** @param longestPlaylist frames that the longest playlist lists */
  constructor(longestPlaylist: number) {
    this.#longestPlaylist = longestPlaylist;
  }

  /** @param now the frame after the last one that is published: a live stream's clock */
  add(left: readonly ListedSegment[], now: number): void {
    for (const { number, frames } of left) {
      this.#segments.push({ number, removableAt: now + frames + this.#longestPlaylist });
    }
  }

  /** Number of the newest segment whose time is over, with all before it; undefined when there is none. Tells it once. */
  takeExpired(now: number): number | undefined {
    const expired = this.#segments.findLast(({ removableAt }) => removableAt <= now);
    if (expired) this.#segments = this.#segments.filter(({ number }) => number > expired.number);
    return expired?.number;
  }
}
