// Tells when a click begins, in seconds of the audio context.

const THRESHOLD = 0.7;
/** After a click nothing is told for so long: it is one click. */
const REST_SECONDS = 0.01;

registerProcessor(
  'click-listener',
  class extends AudioWorkletProcessor {
    #quietUntil = 0;

    process([channels]) {
      const samples = channels[0];
      if (!samples) return true;
      for (let i = 0; i < samples.length; i++) {
        const at = currentTime + i / sampleRate;
        if (samples[i] <= THRESHOLD || at < this.#quietUntil) continue;
        this.port.postMessage(at);
        this.#quietUntil = at + REST_SECONDS;
      }
      return true;
    }
  },
);
