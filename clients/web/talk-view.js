import { curlLines, embedding, pageUrl } from './snippets.js';
import { inSeconds, inWords } from './words.js';

/** @import { FacecastSession, InitOptions, SessionStatus } from 'facecast-client' */

const FRAMES_PER_SECOND = 25;
const BUFFER_RATE = 16_000;

/** @param {string} id @returns {HTMLElement} */
function element(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** The left half of the page below the screen: what the talk is doing, and what can be done with it. */
export class TalkView {
  #download = /** @type {HTMLButtonElement} */ (element('download'));
  /** What the download button saves. */
  #file = { href: '', download: '' };
  /** Length of the recording in seconds, where it is known. @type {number | undefined} */
  #totalSeconds;
  /** Seconds of speech accepted. */
  #accepted = 0;

  constructor() {
    this.#download.addEventListener('click', () => this.#save());
  }

  /** Saves the talk, if it is still there: a link would go nowhere without a word. */
  async #save() {
    const found = await fetch(this.#file.href, { method: 'HEAD' }).catch(() => undefined);
    if (!found?.ok) {
      this.fail(found ? { code: 'session_not_found' } : { code: 'network' });
      return;
    }
    const link = document.createElement('a');
    Object.assign(link, this.#file);
    link.click();
  }

  /** @param {number | undefined} totalSeconds length of the recording */
  begin(totalSeconds) {
    this.#totalSeconds = totalSeconds;
    this.#accepted = 0;
    this.clearError();
    this.warn([]);
    for (const id of ['accepted', 'rendered', 'frames', 'first']) element(`figure-${id}`).textContent = '–';
    this.#meter(0, 0);
    this.#showDetails(true);
    element('actions').hidden = true;
    element('share').hidden = true;
    this.#setComplete(false);
  }

  /**
   * @param {FacecastSession} session
   * @param {{ options: InitOptions, names: { portrait: string, recording: string } } | undefined} made how it was made,
   *   where this page made it
   */
  opened(session, made) {
    this.warn(session.warnings);
    element('actions').hidden = false;
    element('share').hidden = false;
    this.#file = { href: session.downloadUrl, download: `facecast-${session.id.slice(0, 8)}.mp4` };
    element('snippet-page').textContent = pageUrl(session.id);
    element('snippet-hls').textContent = session.hlsUrl;
    element('snippet-embed').textContent = embedding(session);
    const curl = element('snippet-curl');
    curl.textContent = made ? curlLines(made.options, made.names) : '';
    /** @type {HTMLElement} */ (curl.closest('.snippet')).hidden = !made;
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
    this.#setComplete(status === 'complete');
  }

  /** @param {number} milliseconds from the wish to speak to the first picture on this screen */
  firstPicture(milliseconds) {
    element('figure-first').textContent = inSeconds(milliseconds / 1000);
  }

  /** Said to screen readers too, so only when it changes. @param {string} text @param {'idle' | 'busy' | 'done'} kind */
  say(text, kind) {
    const state = element('state');
    state.dataset.state = kind;
    if (state.textContent !== text) state.textContent = text;
  }

  /** @param {unknown} error */
  fail(error) {
    const { title, detail } = inWords(error);
    element('error-title').textContent = title;
    element('error-detail').textContent = detail;
    element('error').hidden = false;
    element('error').scrollIntoView({ block: 'nearest' });
  }

  clearError() {
    element('error').hidden = true;
  }

  /** @param {readonly string[]} warnings */
  warn(warnings) {
    element('warnings').hidden = warnings.length === 0;
    element('warnings').replaceChildren(
      ...warnings.map((warning) => Object.assign(document.createElement('li'), { textContent: warning })),
    );
  }

  /** Back to before there was a talk. */
  clear() {
    this.#showDetails(false);
    element('actions').hidden = true;
    element('share').hidden = true;
    this.warn([]);
  }

  /** @param {boolean} shown */
  #showDetails(shown) {
    element('meter').hidden = !shown;
    element('figures').hidden = !shown;
  }

  /** @param {boolean} complete */
  #setComplete(complete) {
    this.#download.disabled = !complete;
    element('stop').textContent = complete ? 'Delete' : 'Stop';
  }

  /** @param {number} accepted @param {number} rendered parts of the whole, 0 to 1 */
  #meter(accepted, rendered) {
    element('meter-accepted').style.transform = `scaleX(${accepted})`;
    element('meter-rendered').style.transform = `scaleX(${rendered})`;
    element('meter').ariaValueNow = String(Math.round(rendered * 100));
  }
}
