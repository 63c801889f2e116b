import { element } from './element.js';
import { closeMedia, openMedia } from './media-access.js';
import { inWords } from './words.js';

/** The dialogue that takes the portrait with the camera. */
export class Camera {
  #dialog = /** @type {HTMLDialogElement} */ (element('camera'));
  #video = /** @type {HTMLVideoElement} */ (element('camera-video'));
  #take = /** @type {HTMLButtonElement} */ (element('camera-take'));
  /** @type {MediaStream | undefined} */
  #stream;

  /** @param {(picture: File) => void} onPicture */
  constructor(onPicture) {
    this.#take.addEventListener('click', async () => {
      const picture = await this.#picture();
      this.#dialog.close();
      if (picture) onPicture(picture);
    });
    element('camera-cancel').addEventListener('click', () => this.#dialog.close());
    // Also where the dialogue was closed by the keyboard: the camera's light goes out.
    this.#dialog.addEventListener('close', () => this.#switchOff());
    this.#video.addEventListener('playing', () => {
      this.#take.disabled = false;
      this.#say('Look into the camera, with light on your face.');
      this.#take.focus();
    });
  }

  /** Shows what the camera sees, or says why it cannot. */
  async open() {
    this.#take.disabled = true;
    this.#say('Waiting for the camera …');
    this.#dialog.showModal();
    try {
      const stream = await openMedia('camera', { facingMode: 'user', width: { ideal: 1280 }, height: { ideal: 960 } });
      if (!this.#dialog.open) return closeMedia(stream);
      this.#stream = stream;
      this.#video.srcObject = stream;
      await this.#video.play();
    } catch (error) {
      const { title, detail } = inWords(error);
      if (this.#dialog.open) this.#say(`${title}. ${detail}`);
    }
  }

  #switchOff() {
    closeMedia(this.#stream);
    this.#stream = undefined;
    this.#video.srcObject = null;
  }

  /** What is seen now, as it is: only the preview is a mirror. @returns {Promise<File | undefined>} */
  async #picture() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    canvas.getContext('2d')?.drawImage(this.#video, 0, 0);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.92));
    return blob ? new File([blob], 'camera.jpg', { type: 'image/jpeg' }) : undefined;
  }

  /** @param {string} text */
  #say(text) {
    element('camera-text').textContent = text;
  }
}
