import { inBytes } from './words.js';

/**
 * @typedef {object} PickerOptions
 * @property {RegExp} accepts MIME types and names that may be dropped, as `type name`
 * @property {string} refusal what to say about anything else
 * @property {string} sampleUrl
 * @property {(file: File, isSample: boolean) => void} onChoose
 * @property {(message: string) => void} onRefuse
 */

/** A file, chosen with the file dialogue, dropped, or the sample. */
export class Picker {
  /** @type {File | undefined} */
  file;
  #root;
  #options;
  /** @type {HTMLButtonElement} */
  #sampleButton;

  /**
   * @param {HTMLElement} root a fieldset with the input, the name, the description and the sample's button
   * @param {PickerOptions} options
   */
  constructor(root, options) {
    this.#root = root;
    this.#options = options;
    this.#sampleButton = /** @type {HTMLButtonElement} */ (root.querySelector('button.sample:not(.other)'));
    this.#sampleButton.addEventListener('click', () => this.useSample());
    const input = /** @type {HTMLInputElement} */ (root.querySelector('input[type=file]'));
    input.addEventListener('change', () => {
      const file = input.files?.[0];
      // The same file can be chosen again after it was changed.
      input.value = '';
      if (file) this.choose(file);
    });
    this.acceptDrops(root);
  }

  /** Takes files that are dropped on the element. @param {HTMLElement} element */
  acceptDrops(element) {
    const over = (/** @type {boolean} */ is) => element.classList.toggle('dropping', is);
    element.addEventListener('dragover', (event) => {
      event.preventDefault();
      over(true);
    });
    element.addEventListener('dragleave', (event) => {
      if (!element.contains(/** @type {Node | null} */ (event.relatedTarget))) over(false);
    });
    element.addEventListener('drop', (event) => {
      event.preventDefault();
      over(false);
      const file = event.dataTransfer?.files[0];
      if (file) this.choose(file);
    });
  }

  /** @param {File} file @param {boolean} [isSample] */
  choose(file, isSample = false) {
    if (!this.#options.accepts.test(`${file.type} ${file.name}`)) {
      this.#options.onRefuse(`${file.name}: ${this.#options.refusal}`);
      return;
    }
    this.file = file;
    this.describe(isSample ? 'The sample' : file.name, inBytes(file.size));
    this.#sampleButton.hidden = isSample;
    this.#options.onChoose(file, isSample);
  }

  /** @param {string | undefined} name @param {string} more */
  describe(name, more) {
    const text = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (this.#root.querySelector(selector));
    if (name !== undefined) text('.name').textContent = name;
    text('.more').textContent = more;
  }

  async useSample() {
    try {
      const response = await fetch(this.#options.sampleUrl);
      if (!response.ok) throw new Error(`${response.status}`);
      const name = this.#options.sampleUrl.split('/').at(-1) ?? 'sample';
      const content = await response.blob();
      this.choose(new File([content], name, { type: content.type }), true);
    } catch {
      this.#sampleButton.hidden = false;
    }
  }
}
