import { element } from './element.js';
import { inSeconds } from './words.js';

/** @import { SessionStatus } from 'facecast-client' */

const FRAMES_PER_SECOND = 25;
const BUFFER_RATE = 16_000;

/** How far the talk from a recording has come. */
export class ProgressView {
  /** Length of the recording in seconds, where it is known. @type {number | undefined} */
  #totalSeconds;
  /** Seconds of speech accepted. */
  #accepted = 0;

  /** @param {number | undefined} totalSeconds length of the recording */
  constructor(totalSeconds) {
    this.#totalSeconds = totalSeconds;
    for (const id of ['accepted', 'rendered', 'frames', 'first']) element(`figure-${id}`).textContent = '–';
    this.#meter(0, 0);
    this.#show(true);
  }

  /** @param {SessionStatus} status */
  progress({ status, total_frames_generated: frames, buffer_samples: waiting }) {
    const rendered = frames / FRAMES_PER_SECOND;
    // What is being rendered at this moment is in neither number, so the sum goes up and down a little.
    this.#accepted = Math.max(this.#accepted, rendered + waiting / BUFFER_RATE);
    element('figure-accepted').textContent = inSeconds(this.#accepted);
    element('figure-rendered').textContent = inSeconds(rendered);
    element('figure-frames').textContent = String(frames);
    const total = Math.max(this.#totalSeconds ?? 0, this.#accepted, 1e-6);
    if (status === 'complete') this.#meter(1, 1);
    else this.#meter(this.#accepted / total, rendered / total);
  }

  /** @param {number} milliseconds from the wish to speak to the first picture on this screen */
  firstPicture(milliseconds) {
    element('figure-first').textContent = inSeconds(milliseconds / 1000);
  }

  clear() {
    this.#show(false);
  }

  /** @param {boolean} shown */
  #show(shown) {
    element('meter').hidden = !shown;
    element('figures').hidden = !shown;
  }

  /** @param {number} accepted @param {number} rendered parts of the whole, 0 to 1 */
  #meter(accepted, rendered) {
    element('meter-accepted').style.transform = `scaleX(${accepted})`;
    element('meter-rendered').style.transform = `scaleX(${rendered})`;
    element('meter').ariaValueNow = String(Math.round(rendered * 100));
  }
}
