import { closeMedia, openMedia } from '../media-access.js';
import { PageError } from '../page-error.js';

/** @typedef {{ samples: Int16Array, level: number }} SoundBlock 20 ms of mono sound; `level` is its root mean square, 0 to 1 */

/**
 * The microphone as blocks of PCM. An AudioWorklet, not a MediaRecorder: a block leaves 20 ms after it was spoken, while
 * MediaRecorder waits for whole Opus packets and its container, the service for a decoder, and Safari has another
 * container. It costs 16 bits a sample on the way, 96 kB a second at 48 kHz.
 */
export class Microphone {
  /** @type {AudioContext | undefined} */
  #context;
  /** @type {MediaStream | undefined} */
  #stream;
  #closed = false;

  /**
   * @param {number} sampleRate Hz
   * @param {{ onBlock: (block: SoundBlock) => void, onLost: () => void }} listener `onLost` when it was unplugged
   * @throws {PageError}
   */
  async open(sampleRate, { onBlock, onLost }) {
    // One channel, and what calls do against echo and noise.
    const constraints = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const stream = await openMedia('microphone', constraints);
    if (this.#closed) return closeMedia(stream);
    this.#stream = stream;
    stream.getAudioTracks()[0].addEventListener('ended', onLost);
    try {
      const context = new AudioContext({ sampleRate, latencyHint: 'interactive' });
      this.#context = context;
      await context.audioWorklet.addModule(new URL('pcm-capture.js', import.meta.url).href);
      if (this.#closed) return;
      const capture = new AudioWorkletNode(context, 'pcm-capture', { channelCount: 1, channelCountMode: 'explicit' });
      capture.port.onmessage = ({ data }) => onBlock(data);
      // Only what leads to the loudspeakers is computed; the node itself says nothing there.
      context.createMediaStreamSource(stream).connect(capture).connect(context.destination);
      await context.resume();
    } catch (error) {
      this.close();
      throw new PageError('microphone_unusable', `At ${sampleRate} Hz: ${/** @type {Error} */ (error).message}`, error);
    }
  }

  /** Switches it off. */
  close() {
    this.#closed = true;
    closeMedia(this.#stream);
    this.#context?.close().catch(() => undefined);
    this.#stream = undefined;
    this.#context = undefined;
  }
}

/** Rate at which this machine's sound runs, Hz: a session of that rate needs no resampling here. */
export function machineSampleRate() {
  const context = new AudioContext();
  const { sampleRate } = context;
  context.close().catch(() => undefined);
  return sampleRate;
}
