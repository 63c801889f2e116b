import { element } from './element.js';
import { Player } from './player.js';

/** The square in which the portrait is shown, and then speaks. */
export class Screen {
  root = element('screen');
  #video = /** @type {HTMLVideoElement} */ (element('video'));
  #poster = /** @type {HTMLImageElement} */ (element('poster'));
  #play = element('play');
  #player = new Player(this.#video);
  /** Whether this page, not the viewer, has muted the video. */
  #muted = false;

  constructor() {
    this.#play.addEventListener('click', () => this.#start());
    this.#video.addEventListener('playing', () => {
      this.root.classList.add('playing');
      this.#play.hidden = true;
    });
  }

  /** @param {string} url of a picture */
  showPortrait(url) {
    this.stop();
    this.#poster.src = url;
    this.#poster.hidden = false;
  }

  /** Says what is being waited for; nothing when there is no text. @param {string} [text] */
  wait(text) {
    element('veil').hidden = !text;
    element('veil-text').textContent = text ?? '';
  }

  /**
   * Plays a talk as soon as its first segment is there.
   * @param {string} hlsUrl
   * @param {object} options
   * @param {boolean} [options.live] plays it at the live edge; default false
   * @param {boolean} [options.autoplay] begins without being asked; default true
   * @param {() => void} options.onFirstPicture
   * @param {(error: Error) => void} options.onError
   * @param {AbortSignal} options.signal ends it
   */
  async play(hlsUrl, { live = false, autoplay = true, onFirstPicture, onError, signal }) {
    this.#video.addEventListener('loadeddata', onFirstPicture, { once: true, signal });
    try {
      if (!(await this.#player.load(hlsUrl, { live, onError }))) return;
      this.#video.hidden = false;
      this.#video.controls = true;
      if (autoplay) await this.#start();
    } catch (error) {
      onError(/** @type {Error} */ (error));
    }
  }

  /** How it plays. */
  get figures() {
    return this.#player.figures;
  }

  /** Back to the live edge. */
  goLive() {
    this.#player.goLive();
  }

  /**
   * Makes the video silent while a microphone could hear it. What the viewer has muted stays so; and who wears headphones
   * may switch the sound on again.
   * @param {boolean} silent
   */
  silence(silent) {
    if (silent === this.#muted || (silent && this.#video.muted)) return;
    this.#muted = silent;
    this.#video.muted = silent;
  }

  /** Back to the portrait. */
  stop() {
    this.#player.stop();
    this.silence(false);
    this.wait();
    this.#play.hidden = true;
    this.#video.hidden = true;
    this.root.classList.remove('playing');
  }

  async #start() {
    try {
      await this.#video.play();
    } catch (error) {
      // Browsers let a page make a sound only after it was touched.
      this.#play.hidden = /** @type {Error} */ (error).name !== 'NotAllowedError';
    }
  }
}
