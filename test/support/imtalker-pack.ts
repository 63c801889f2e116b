import { resolve } from 'node:path';
import { makePackFolder } from './pack-folder.js';

/** Sides of the small pack's source image and of its frames, pixels. */
export const IMTALKER_SOURCE_SIDE = 64;
export const IMTALKER_FRAME_SIDE = 128;

/** Absolute path of one of the pack's own graphs, where it lies in the repository. */
export function imtalkerGraph(name: 'source_encoder' | 'audio_encoder' | 'motion_generator' | 'renderer'): string {
  return resolve(__dirname, 'imtalker-pack', `${name}.onnx`);
}

/**
 * A small pack with the tensors of an IMTalker export (see `imtalker-pack/build.py`): a fixed window, identities in fp16,
 * and frames of several sessions in one run.
 * @returns its folder; the caller removes it.
 */
export function makeImtalkerPack(): Promise<string> {
  return makePackFolder('imtalker-pack', {
    name: 'imtalker-small',
    weights: 'random, seed 1',
    source: { size: IMTALKER_SOURCE_SIDE, crop_scale: 0.88 },
    frame: { width: IMTALKER_FRAME_SIDE, height: IMTALKER_FRAME_SIDE },
    motion: { tokens: 32, window: 50, context: 10 },
    audio: { features: 32, normalisation: 'zero_mean_unit_variance', context_frames: 50 },
  });
}
