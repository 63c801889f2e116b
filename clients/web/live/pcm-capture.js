// Runs in the audio thread, as a module of an AudioWorklet: that thread's globals are in no type library.
const { AudioWorkletProcessor, registerProcessor, sampleRate } =
  /** @type {{ AudioWorkletProcessor: any, registerProcessor: Function, sampleRate: number }} */ (
    /** @type {unknown} */ (globalThis)
  );

/** Samples in a block, 20 ms: few, for it is waited for before a word can leave. */
const BLOCK_LENGTH = Math.round(sampleRate * 0.02);

/** Cuts the microphone's sound into blocks of 16-bit samples and posts each as `{ samples: Int16Array, level }`. */
class PcmCapture extends AudioWorkletProcessor {
  #block = new Int16Array(BLOCK_LENGTH);
  #filled = 0;
  #energy = 0;

  /** @param {Float32Array[][]} inputs one input of one channel, 128 samples a call */
  process([[channel]]) {
    for (const value of channel ?? []) {
      this.#energy += value * value;
      this.#block[this.#filled++] = Math.round(Math.max(-1, Math.min(1, value)) * 32767);
      if (this.#filled === BLOCK_LENGTH) this.#post();
    }
    return true;
  }

  #post() {
    const level = Math.sqrt(this.#energy / this.#filled);
    this.port.postMessage({ samples: this.#block, level }, [this.#block.buffer]);
    this.#block = new Int16Array(BLOCK_LENGTH);
    this.#filled = 0;
    this.#energy = 0;
  }
}

registerProcessor('pcm-capture', PcmCapture);
