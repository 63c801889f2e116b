import { LiveEdge } from './live/live-edge.js';
import { untilThere } from './until-there.js';

/** @import HlsConstructor, { ErrorData } from 'hls.js' */

/** Media errors, in a row where that can be told, after which to give up. */
const MAX_RECOVERIES = 5;
/** Wait before a browser's own player is given the stream again, milliseconds. */
const NATIVE_RETRY_MS = 1000;

/** A talk is watched from its first word; what has been seen may be looked at again. */
const FROM_THE_START = { startPosition: 0, backBufferLength: 600 };
/**
 * A live session is watched at its edge. How far behind, the playlist says (PART-HOLD-BACK): `liveSyncDuration` and
 * `liveSyncDurationCount` would override that.
 */
const AT_THE_EDGE = {
  lowLatencyMode: true,
  maxLiveSyncPlaybackRate: 1.5,
  liveSyncOnStallIncrease: 0.2,
  backBufferLength: 30,
};

/** Plays a talk while it is being made: with hls.js, or natively where there is no MSE. */
export class Player {
  #video;
  /** @type {HlsConstructor | undefined} */
  #hls;
  #load = new AbortController();
  #stalls = 0;

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
    let ready = false;
    video.addEventListener('emptied', () => {
      ready = false;
    });
    video.addEventListener('playing', () => {
      ready = true;
    });
    video.addEventListener('waiting', () => {
      if (ready && !video.seeking) this.#stalls++;
    });
  }

  /**
   * Waits for the stream's first segment, then loads it.
   * @param {string} url absolute URL of the playlist
   * @param {{ live?: boolean, onError: (error: Error) => void }} options `live` plays at the live edge; `onError` is called
   *   when the stream cannot go on
   * @returns {Promise<boolean>} false when `stop` was called meanwhile
   */
  async load(url, { live = false, onError }) {
    this.stop();
    this.#load = new AbortController();
    const { signal } = this.#load;
    try {
      await untilThere(url, signal);
      const { default: Hls } = await import('hls.js');
      signal.throwIfAborted();
      if (Hls.isSupported()) this.#play(Hls, url, live, signal, onError);
      else if (this.#video.canPlayType('application/vnd.apple.mpegurl')) this.#playNatively(url, signal, onError);
      else throw new Error('This browser plays neither HLS nor Media Source Extensions.');
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      throw error;
    }
  }

  /** Lets go of the stream. */
  stop() {
    this.#load.abort();
    this.#hls?.destroy();
    this.#hls = undefined;
    this.#stalls = 0;
    if (this.#video.hasAttribute('src')) {
      this.#video.removeAttribute('src');
      this.#video.load();
    }
  }

  /** To the live edge, after a pause or a look back. */
  goLive() {
    const { seekable } = this.#video;
    const edge = this.#hls
      ? this.#hls.liveSyncPosition
      : seekable.length
        ? seekable.end(seekable.length - 1)
        : undefined;
    if (edge) this.#video.currentTime = edge;
    this.#video.play().catch(() => undefined);
  }

  /**
   * How it plays: seconds behind the newest frame and how far behind it means to be (both undefined where nobody knows),
   * seconds of video that are here already, frames that came too late to be shown, times it had to wait.
   */
  get figures() {
    const { currentTime, buffered } = this.#video;
    let ahead = 0;
    for (let range = 0; range < buffered.length; range++) {
      if (buffered.start(range) <= currentTime) ahead = Math.max(0, buffered.end(range) - currentTime);
    }
    return {
      latency: this.#latency,
      target: this.#hls?.targetLatency ?? undefined,
      ahead,
      dropped: this.#video.getVideoPlaybackQuality?.().droppedVideoFrames,
      stalls: this.#stalls,
    };
  }

  /** From hls.js, which needs no clock that agrees with the service's; natively only the programme's time can tell. */
  get #latency() {
    if (this.#video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return undefined;
    if (this.#hls) return this.#hls.latency || undefined;
    const start = /** @type {{ getStartDate?: () => Date }} */ (this.#video).getStartDate?.().getTime();
    if (start === undefined || Number.isNaN(start)) return undefined;
    return Math.max(0, (Date.now() - start) / 1000 - this.#video.currentTime);
  }

  /** @param {string} url @param {AbortSignal} signal @param {(error: Error) => void} onError */
  #playNatively(url, signal, onError) {
    const video = this.#video;
    let recoveries = 0;
    // Some players give up on a stream that is only one segment long as yet.
    const recover = () => {
      if (recoveries++ === MAX_RECOVERIES) {
        onError(new Error(`The stream cannot be played (${video.error?.message || 'no reason given'}).`));
        return;
      }
      const position = video.currentTime;
      setTimeout(() => {
        if (signal.aborted) return;
        video.src = url;
        video.currentTime = position;
        video.play().catch(() => undefined);
      }, NATIVE_RETRY_MS);
    };
    video.addEventListener('error', recover, { signal });
    video.src = url;
  }

  /**
   * @param {typeof HlsConstructor} Hls
   * @param {string} url
   * @param {boolean} live
   * @param {AbortSignal} signal
   * @param {(error: Error) => void} onError
   */
  #play(Hls, url, live, signal, onError) {
    const patient = {
      default: {
        // The playlist's first answer may take 15 s; see the service's contract.
        maxTimeToFirstByteMs: 20_000,
        maxLoadTimeMs: 30_000,
        timeoutRetry: { maxNumRetry: 4, retryDelayMs: 0, maxRetryDelayMs: 0 },
        errorRetry: { maxNumRetry: 10, retryDelayMs: 500, maxRetryDelayMs: 4000 },
      },
    };
    const hls = new Hls({
      ...(live ? AT_THE_EDGE : FROM_THE_START),
      manifestLoadPolicy: patient,
      playlistLoadPolicy: patient,
      workerPath: new URL('./vendor/hls.js/hls.worker.js', import.meta.url).href,
    });
    if (live) {
      const edge = new LiveEdge(this.#video, hls, signal);
      hls.on(Hls.Events.LEVEL_UPDATED, () => edge.check());
    }
    let recoveries = 0;
    hls.on(Hls.Events.FRAG_BUFFERED, () => {
      recoveries = 0;
    });
    hls.on(Hls.Events.ERROR, (_event, /** @type {ErrorData} */ data) => {
      if (!data.fatal) return;
      if (data.type === Hls.ErrorTypes.MEDIA_ERROR && recoveries++ < MAX_RECOVERIES) return hls.recoverMediaError();
      onError(new Error(`The stream cannot be played (${data.details}).`));
    });
    hls.loadSource(url);
    hls.attachMedia(this.#video);
    this.#hls = hls;
  }
}
