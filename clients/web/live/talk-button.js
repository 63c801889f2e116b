/** @typedef {'off' | 'opening' | 'on'} MicrophoneState */

/** What the button says. */
const TEXTS = /** @type {const} */ ({
  hold: { off: 'Hold to talk', opening: 'Opening the microphone …', on: 'Let go when you are done' },
  open: { off: 'Switch the microphone on', opening: 'Opening the microphone …', on: 'Switch the microphone off' },
});

/** The button of the microphone: held like a walkie-talkie's, by pointer or key, or switched on and off. */
export class TalkButton {
  #button;
  #modes;
  #onTalk;
  /** @type {MicrophoneState} */
  #state = 'off';
  #wanted = false;

  /**
   * @param {HTMLButtonElement} button
   * @param {HTMLElement} modes holds the radio buttons `hold` and `open`
   * @param {{ onTalk: (wanted: boolean) => void, signal: AbortSignal }} options
   */
  constructor(button, modes, { onTalk, signal }) {
    this.#button = button;
    this.#modes = modes;
    this.#onTalk = onTalk;
    const hold = (/** @type {boolean} */ wanted) => this.mode === 'hold' && this.#want(wanted);
    const isPress = (/** @type {KeyboardEvent} */ { key }) => key === ' ' || key === 'Enter';
    button.addEventListener(
      'pointerdown',
      (event) => {
        if (event.button !== 0 || this.mode !== 'hold') return;
        // A hand that holds a mouse for long drifts off the button.
        button.setPointerCapture(event.pointerId);
        hold(true);
      },
      { signal },
    );
    for (const end of ['pointerup', 'lostpointercapture', 'blur']) {
      button.addEventListener(end, () => hold(false), { signal });
    }
    button.addEventListener(
      'keydown',
      (event) => {
        if (!isPress(event) || this.mode !== 'hold') return;
        // A key that is held repeats, and would click.
        event.preventDefault();
        if (!event.repeat) hold(true);
      },
      { signal },
    );
    button.addEventListener('keyup', (event) => isPress(event) && hold(false), { signal });
    button.addEventListener(
      'click',
      ({ detail }) => {
        // Assistive technology clicks without a pointer, and cannot hold.
        if (this.mode === 'open' || detail === 0) this.#want(!this.#wanted);
      },
      { signal },
    );
    // A long press on a phone would open the menu.
    button.addEventListener('contextmenu', (event) => event.preventDefault(), { signal });
    modes.addEventListener('change', () => (this.#wanted ? this.#want(false) : this.#show()), { signal });
    this.show('off');
  }

  /** @returns {'hold' | 'open'} */
  get mode() {
    const checked = /** @type {HTMLInputElement} */ (this.#modes.querySelector('input:checked'));
    return checked.value === 'open' ? 'open' : 'hold';
  }

  /** Whether the viewer wants to be heard. */
  get wanted() {
    return this.#wanted;
  }

  /** @param {MicrophoneState} state */
  show(state) {
    this.#state = state;
    if (state === 'off') this.#wanted = false;
    this.#show();
  }

  /** @param {number} level loudness, 0 to 1 */
  showLevel(level) {
    // Ears and eyes count in ratios: -60 dB is nothing, 0 dB is all.
    const part = Math.max(0, 1 + Math.log10(Math.max(level, 1e-6)) / 3);
    this.#button.style.setProperty('--level', part.toFixed(2));
  }

  /** @param {boolean} wanted */
  #want(wanted) {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#onTalk(wanted);
  }

  #show() {
    this.#button.dataset.state = this.#state;
    const text = TEXTS[this.mode][this.#state];
    if (this.#button.textContent !== text) this.#button.textContent = text;
    if (this.#state !== 'on') this.showLevel(0);
  }
}
