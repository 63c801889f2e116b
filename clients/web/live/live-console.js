import { element } from '../element.js';
import { inWords } from '../words.js';
import { TalkButton } from './talk-button.js';

/** @import { RecordingPicker } from '../recording-picker.js' */
/** @import { Screen } from '../screen.js' */
/** @import { LiveSpeech } from './live-speech.js' */

/** What there is to speak with while a session is live: it takes the place of the form, and the recording's picker with it. */
export class LiveConsole {
  #say = /** @type {HTMLButtonElement} */ (element('say'));
  #recording;
  #screen;
  /** @type {TalkButton} */
  #talk;
  /** @type {LiveSpeech | undefined} */
  #speech;
  #signal;

  /** @param {{ recording: RecordingPicker, screen: Screen, signal: AbortSignal }} parts `signal` ends it */
  constructor({ recording, screen, signal }) {
    this.#recording = recording;
    this.#screen = screen;
    this.#signal = signal;
    this.#talk = new TalkButton(/** @type {HTMLButtonElement} */ (element('talk')), element('microphone'), {
      signal,
      onTalk: (wanted) => (wanted ? this.#startTalking() : this.#stopTalking()),
    });
    this.#say.addEventListener('click', () => this.#sayRecording(), { signal });
    element('speech-error').hidden = true;
    this.#showSaying();
    signal.addEventListener('abort', () => this.end());
  }

  /** Brings the form back. */
  end() {
    if (!this.#speech) return;
    this.#speech = undefined;
    this.#microphoneIsOff();
    this.#exchange(element('console'), element('form'), element('speak'));
    element('form-recording').append(element('recording'));
  }

  /** From here on there is something to speak with. @param {LiveSpeech} speech */
  connect(speech) {
    this.#speech = speech;
    this.#exchange(element('form'), element('console'), element('talk'));
    element('console-recording').append(element('recording'));
    // The form was longer.
    this.#screen.root.scrollIntoView({ block: 'nearest' });
  }

  /** @param {number} level of the microphone, 0 to 1 */
  showLevel(level) {
    if (this.#talk.wanted) this.#talk.showLevel(level);
  }

  /** Says here what went wrong with the speech: the picture goes on. @param {unknown} error */
  showError(error) {
    const { title, detail } = inWords(error);
    element('speech-error-title').textContent = title;
    element('speech-error-detail').textContent = detail;
    element('speech-error').hidden = false;
    this.#microphoneIsOff();
  }

  /** Shows whether a recording is being said. */
  #showSaying() {
    this.#say.textContent = this.#speech?.saying ? 'Say it from the start' : 'Say it';
  }

  async #startTalking() {
    if (!this.#speech) return this.#talk.show('off');
    const gated = this.#talk.mode === 'open';
    element('speech-error').hidden = true;
    this.#talk.show('opening');
    this.#screen.silence(true);
    this.#recording.pause();
    try {
      await this.#speech.startMicrophone({ gated });
      if (this.#talk.wanted) this.#talk.show('on');
    } catch (error) {
      if (!this.#signal.aborted) this.showError(error);
    }
  }

  #stopTalking() {
    // Kept ready while it is a walkie-talkie: opening it takes longer than a word.
    if (this.#talk.mode === 'hold') this.#speech?.stopMicrophone();
    else this.#speech?.closeMicrophone();
    this.#microphoneIsOff();
  }

  #microphoneIsOff() {
    this.#talk.show('off');
    this.#screen.silence(false);
  }

  async #sayRecording() {
    const { file } = this.#recording;
    if (!file) return this.showError({ code: 'no_file', detail: 'Choose a recording first.' });
    if (!this.#speech) return;
    if (this.#talk.wanted) this.#stopTalking();
    element('speech-error').hidden = true;
    this.#recording.pause();
    const saying = this.#speech.say(file);
    this.#showSaying();
    try {
      await saying;
    } catch (error) {
      if (!this.#signal.aborted) this.showError(error);
    } finally {
      this.#showSaying();
    }
  }

  /**
   * The keyboard goes on where the one that goes leaves off.
   * @param {HTMLElement} goes
   * @param {HTMLElement} comes
   * @param {HTMLElement} first
   */
  #exchange(goes, comes, first) {
    const focused = goes.contains(document.activeElement) || document.activeElement === document.body;
    goes.hidden = true;
    comes.hidden = false;
    if (focused) first.focus({ preventScroll: true });
  }
}
