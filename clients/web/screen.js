import { Player } from './player.js';

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** The square in which the portrait is shown, and then speaks. */
export class Screen {
  root = element('screen');
  #video = /** @type {HTMLVideoElement} */ (element('video'));
  #poster = /** @type {HTMLImageElement} */ (element('poster'));
  #play = element('play');
  #player = new Player(this.#video);

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
   * @param {{ onFirstPicture: () => void, onError: (error: Error) => void, signal: AbortSignal }} listener `signal` ends it
   */
  async play(hlsUrl, { onFirstPicture, onError, signal }) {
    this.#video.addEventListener('loadeddata', onFirstPicture, { once: true, signal });
    try {
      if (!(await this.#player.load(hlsUrl, onError))) return;
      this.#video.hidden = false;
      this.#video.controls = true;
      await this.#start();
    } catch (error) {
      onError(/** @type {Error} */ (error));
    }
  }

  /** Back to the portrait. */
  stop() {
    this.#player.stop();
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
