import { element } from './element.js';
import { inWords } from './words.js';

/** @import { FacecastSession } from 'facecast-client' */

/**
 * @typedef {object} Snippets text to copy
 * @property {string} page address of this page with the talk
 * @property {string} hls address of the playlist
 * @property {string} embed HTML that plays it
 * @property {string} [curl] commands that make the same, where it is known how it was made
 */

/** Below the screen: what the talk is doing in a word, what went wrong, and what can be done with it. */
export class TalkView {
  #download = /** @type {HTMLButtonElement} */ (element('download'));
  /** What the download button saves. */
  #file = { href: '', download: '' };

  constructor() {
    this.#download.addEventListener('click', () => this.#save());
  }

  /** Saves the talk, if it is still there: a link would go nowhere without a word. */
  async #save() {
    const { href } = this.#file;
    const found = await fetch(href, { method: 'HEAD' }).catch(() => undefined);
    if (!found?.ok) {
      // The answer to HEAD has no words.
      const why = await fetch(href)
        .then((response) => response.json())
        .catch(() => ({ code: 'network' }));
      this.fail(why);
      return;
    }
    const link = document.createElement('a');
    Object.assign(link, this.#file);
    link.click();
  }

  /**
   * @param {FacecastSession} session
   * @param {Snippets} snippets
   */
  opened(session, snippets) {
    this.warn(session.warnings);
    this.#file = { href: session.downloadUrl, download: `facecast-${session.id.slice(0, 8)}.mp4` };
    this.#download.hidden = false;
    this.setComplete(false);
    element('actions').hidden = false;
    element('share').hidden = false;
    element('snippet-page').textContent = snippets.page;
    element('snippet-hls').textContent = snippets.hls;
    element('snippet-embed').textContent = snippets.embed;
    const curl = element('snippet-curl');
    curl.textContent = snippets.curl ?? '';
    /** @type {HTMLElement} */ (curl.closest('.snippet')).hidden = !snippets.curl;
  }

  /** While there is nothing to download. @param {boolean} hidden */
  hideDownload(hidden) {
    this.#download.hidden = hidden;
  }

  /** @param {boolean} complete */
  setComplete(complete) {
    this.#download.disabled = !complete;
    element('stop').textContent = complete ? 'Delete' : 'Stop';
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
    element('actions').hidden = true;
    element('share').hidden = true;
    this.warn([]);
    this.say('Ready when you are.', 'idle');
  }
}
