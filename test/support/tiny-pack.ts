import { makePackFolder } from './pack-folder.js';

/** Side of the tiny pack's frames, pixels. */
export const TINY_SIDE = 32;

/**
 * A pack whose frames can be foretold (see `tiny-pack/build.py`).
 * @returns its folder; the caller removes it.
 */
export function makeTinyPack(): Promise<string> {
  return makePackFolder('tiny-pack', {
    name: 'tiny',
    weights: 'none',
    source: { size: TINY_SIDE, crop_scale: 1.2 },
    frame: { width: TINY_SIDE, height: TINY_SIDE },
    motion: { tokens: 4, window: 10, context: 10 },
    audio: { features: 4, normalisation: 'none', context_frames: 5 },
  });
}
