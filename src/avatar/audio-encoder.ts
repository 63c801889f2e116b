import type { OnnxModel } from '../inference/onnx-model.js';
import type { MotionWindow } from './engine.js';

/** Turns windows of sound into audio features. */
export class AudioEncoder {
  readonly #model: OnnxModel;
  readonly #normalisation: 'none' | 'zero_mean_unit_variance';

  constructor(model: OnnxModel, normalisation: 'none' | 'zero_mean_unit_variance') {
    this.#model = model;
    this.#normalisation = normalisation;
  }

  /** @returns features `[frames, C]` of the window proper; its context is heard and then dropped. */
  async encode({ waveform, contextFrames, frames }: MotionWindow): Promise<Float32Array> {
    const samples = this.#normalisation === 'none' ? waveform : normalise(waveform);
    const { features } = await this.#model.run({ waveform: { data: samples, dims: [1, samples.length] } });
    const C = features!.dims[2]!;
    return (features!.data as Float32Array).slice(contextFrames * C, (contextFrames + frames) * C);
  }
}

/** Zero mean and unit variance over the whole window, as Wav2Vec2's feature extractor does. */
function normalise(samples: Float32Array): Float32Array {
  let sum = 0;
  for (const sample of samples) sum += sample;
  const mean = sum / samples.length;
  let squares = 0;
  for (const sample of samples) squares += (sample - mean) ** 2;
  const scale = 1 / Math.sqrt(squares / samples.length + 1e-7);
  return samples.map((sample) => (sample - mean) * scale);
}
