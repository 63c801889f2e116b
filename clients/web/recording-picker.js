import { Picker } from './picker.js';
import { decode, drawWaveform } from './waveform.js';
import { inSeconds } from './words.js';

/** The recording: chosen, drawn, and listened to. */
export class RecordingPicker {
  #root;
  #picker;
  #listen;
  #loudspeaker = new Audio();
  /** Sound of the recording, as far as this browser could decode it. @type {AudioBuffer | undefined} */
  #sound;

  /**
   * @param {HTMLElement} root
   * @param {{ onChoose: () => void, onRefuse: (message: string) => void }} listener
   */
  constructor(root, { onChoose, onRefuse }) {
    this.#root = root;
    this.#listen = /** @type {HTMLButtonElement} */ (root.querySelector('.listen'));
    this.#picker = new Picker(root, {
      accepts: /\.(wav|mp3|flac|ogg|oga|opus|webm|m4a|mp4|aac|pcm|raw)$/i,
      refusal: 'choose WAV, MP3, FLAC, Ogg, WebM, M4A or AAC sound.',
      sampleUrl: new URL('samples/speech.wav', import.meta.url).href,
      onRefuse,
      onChoose: (file) => {
        onChoose();
        this.#show(file);
      },
    });
    const loudspeaker = this.#loudspeaker;
    this.#listen.addEventListener('click', () => (loudspeaker.paused ? loudspeaker.play() : loudspeaker.pause()));
    for (const event of ['play', 'pause', 'ended']) {
      loudspeaker.addEventListener(event, () => {
        this.#listen.textContent = loudspeaker.paused ? 'Listen' : 'Pause';
      });
    }
    // The canvas does not know that its colour has changed.
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw());
  }

  get file() {
    return this.#picker.file;
  }

  /** Length in seconds, where this browser can tell. */
  get seconds() {
    return this.#sound?.duration;
  }

  useSample() {
    return this.#picker.useSample();
  }

  /** Stops listening to it. */
  pause() {
    this.#loudspeaker.pause();
  }

  /** @param {File} file */
  async #show(file) {
    this.pause();
    if (this.#loudspeaker.src) URL.revokeObjectURL(this.#loudspeaker.src);
    this.#loudspeaker.src = URL.createObjectURL(file);
    const sound = await decode(file);
    if (this.file !== file) return;
    this.#sound = sound;
    this.#listen.hidden = !sound;
    if (sound) this.#picker.describe(undefined, `${inSeconds(sound.duration)} long`);
    this.#draw();
  }

  #draw() {
    drawWaveform(/** @type {HTMLCanvasElement} */ (this.#root.querySelector('canvas')), this.#sound);
  }
}
