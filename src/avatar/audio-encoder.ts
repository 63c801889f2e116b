import type { OnnxModel } from '../inference/onnx-model.js';
import type { MotionWindow } from './engine.js';

/**
 * Frames of a waveform come in steps of so many where there is context to spare: a GPU chooses kernels anew for every
 * length it meets, which may take it a second.
 */
const LENGTH_STEP = 5;
/** Context below this is not spared: a pack that asks for little needs all of it. */
const AMPLE_CONTEXT_FRAMES = 50;

/** Turns windows of sound into audio features. */
export class AudioEncoder {
  readonly #model: OnnxModel;
  readonly #normalisation: 'none' | 'zero_mean_unit_variance';

  constructor(model: OnnxModel, normalisation: 'none' | 'zero_mean_unit_variance') {
    this.#model = model;
    this.#normalisation = normalisation;
  }

  /** @returns features `[frames, C]` of the window proper; its context is heard and then dropped. */
  async encode(window: MotionWindow): Promise<Float32Array> {
    const { waveform, contextFrames, frames } = window;
    const samplesPerFrame = waveform.length / (contextFrames + frames);
    const spared = sparedFrames(window);
    const heard = waveform.subarray(spared * samplesPerFrame);
    const samples = this.#normalisation === 'none' ? heard : normalise(heard);
    const { features } = await this.#model.run({ waveform: { data: samples, dims: [1, samples.length] } });
    const C = features!.dims[2]!;
    const behind = contextFrames - spared;
    return (features!.data as Float32Array).slice(behind * C, (behind + frames) * C);
  }
}

/** Frames at the head of a window's context that need not be heard. */
function sparedFrames({ contextFrames, frames }: MotionWindow): number {
  return contextFrames > AMPLE_CONTEXT_FRAMES ? (contextFrames + frames) % LENGTH_STEP : 0;
}

/**
 * Lengths of the contexts and windows that talks of one-second windows bring to the encoder: full windows from the first
 * one on, and the shorter last windows of talks that have ample context by then. Shorter talks end on other lengths.
 */
export function commonLengths(contextFrames: number, fps: number): Pick<MotionWindow, 'contextFrames' | 'frames'>[] {
  const hop = fps - Math.round(0.2 * fps);
  const lengths = [];
  for (let start = 0; start < contextFrames + hop; start += hop) {
    const context = Math.min(start, contextFrames);
    const shortest = context > AMPLE_CONTEXT_FRAMES ? 0 : fps;
    for (let frames = fps; frames >= shortest; frames -= LENGTH_STEP) {
      lengths.push({ contextFrames: context, frames });
    }
  }
  return lengths;
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
