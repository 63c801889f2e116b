/** @import Hls from 'hls.js' */

/**
 * hls.js makes up for lost time by playing faster, but only for about this much more than it means to be behind, in seconds.
 * One that is farther back it takes for a viewer who looks back, and leaves where he is.
 */
const BEYOND_REACH = 1.5;
/** It may still come nearer by itself. */
const PATIENCE_MS = 3000;
/** On a machine that cannot keep up, leaping would be all there is to see. */
const BETWEEN_LEAPS_MS = 15_000;
/** A step back that is longer than what a player does to get over a hole, seconds. */
const STEP_BACK = 0.5;

/**
 * Keeps a viewer at the edge of a live session: where a slow start or a stall has left him too far behind to catch up, he
 * is taken to the edge. Not so if he has paused or gone back himself, until he is at the edge again.
 */
export class LiveEdge {
  #video;
  #hls;
  #now;
  #away = false;
  #newestTime = 0;
  /** @type {number | undefined} */
  #behindSince;
  #leapAt = Number.NEGATIVE_INFINITY;

  /**
   * @param {HTMLVideoElement} video
   * @param {Pick<Hls, 'latency' | 'targetLatency' | 'liveSyncPosition'>} hls
   * @param {AbortSignal} signal ends it
   * @param {() => number} [now] milliseconds
   */
  constructor(video, hls, signal, now = () => performance.now()) {
    this.#video = video;
    this.#hls = hls;
    this.#now = now;
    video.addEventListener('pause', () => this.#leave(), { signal });
    video.addEventListener(
      'timeupdate',
      () => {
        this.#newestTime = video.currentTime;
      },
      { signal },
    );
    video.addEventListener(
      'seeking',
      () => {
        if (video.currentTime < this.#newestTime - STEP_BACK) this.#leave();
      },
      { signal },
    );
  }

  /** To be called often, such as with every playlist. */
  check() {
    const { latency, targetLatency, liveSyncPosition } = this.#hls;
    const behind = targetLatency === null ? 0 : latency - targetLatency;
    if (behind < BEYOND_REACH) {
      this.#away = false;
      this.#behindSince = undefined;
      return;
    }
    if (this.#away || this.#video.paused || liveSyncPosition === null) return;
    const now = this.#now();
    this.#behindSince ??= now;
    if (now - this.#behindSince < PATIENCE_MS || now - this.#leapAt < BETWEEN_LEAPS_MS) return;
    this.#leapAt = now;
    this.#behindSince = undefined;
    this.#video.currentTime = liveSyncPosition;
  }

  #leave() {
    this.#away = true;
    this.#behindSince = undefined;
  }
}
