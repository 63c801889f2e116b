import { untilThere } from './until-there.js';

/** @import HlsConstructor, { ErrorData } from 'hls.js' */

/** Media errors, in a row where that can be told, after which to give up. */
const MAX_RECOVERIES = 5;
/** Wait before a browser's own player is given the stream again, milliseconds. */
const NATIVE_RETRY_MS = 1000;

/** Plays a talk from its first word while it is being made: with hls.js, or natively where there is no MSE. */
export class Player {
  #video;
  /** @type {HlsConstructor | undefined} */
  #hls;
  #load = new AbortController();

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
  }

  /**
   * Waits for the stream's first segment, then loads it.
   * @param {string} url absolute URL of the playlist
   * @param {(error: Error) => void} onError when the stream cannot go on
   * @returns {Promise<boolean>} false when `stop` was called meanwhile
   */
  async load(url, onError) {
    this.stop();
    this.#load = new AbortController();
    const { signal } = this.#load;
    try {
      await untilThere(url, signal);
      const { default: Hls } = await import('hls.js');
      signal.throwIfAborted();
      if (Hls.isSupported()) this.#play(Hls, url, onError);
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
    if (this.#video.hasAttribute('src')) {
      this.#video.removeAttribute('src');
      this.#video.load();
    }
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

  /** @param {typeof HlsConstructor} Hls @param {string} url @param {(error: Error) => void} onError */
  #play(Hls, url, onError) {
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
      startPosition: 0,
      // What has been seen may be looked at again.
      backBufferLength: 600,
      manifestLoadPolicy: patient,
      playlistLoadPolicy: patient,
      workerPath: new URL('./vendor/hls.js/hls.worker.js', import.meta.url).href,
    });
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
