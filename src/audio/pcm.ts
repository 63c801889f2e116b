/** Sound: mono samples, -1..1. */
export interface PcmAudio {
  /** Hz. */
  readonly sampleRate: number;
  readonly samples: Float32Array;
}
