import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Sides of the small pack's source image and of its frames, pixels. */
export const IMTALKER_SOURCE_SIDE = 64;
export const IMTALKER_FRAME_SIDE = 128;

const FOLDERS = {
  source_encoder: 'imtalker-pack',
  audio_encoder: 'imtalker-pack',
  motion_generator: 'imtalker-pack',
  renderer: 'imtalker-pack',
  face_detector: '../../models/portrait',
  face_mesh: '../../models/portrait',
};

/** Absolute path of one of the pack's graphs, where it lies in the repository. */
export function imtalkerGraph(name: keyof typeof FOLDERS): string {
  return resolve(__dirname, FOLDERS[name], `${name}.onnx`);
}

/**
 * Puts a small pack together with the tensors of an IMTalker export (see `imtalker-pack/build.py`): a fixed window,
 * identities in fp16, and frames of several sessions in one run. The face analysis is the portrait pack's.
 * @returns its folder, below the system's temporary one; the caller removes it.
 */
export async function makeImtalkerPack(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'facecast-imtalker-'));
  const graphs: Record<string, { file: string; sha256: string }> = {};
  for (const name of Object.keys(FOLDERS) as (keyof typeof FOLDERS)[]) {
    const file = `${name}.onnx`;
    await cp(imtalkerGraph(name), join(folder, file));
    const sha256 = createHash('sha256')
      .update(await readFile(join(folder, file)))
      .digest('hex');
    graphs[name] = { file, sha256 };
  }
  const pack = {
    name: 'imtalker-small',
    version: '1',
    licence: 'Apache-2.0',
    weights: 'random, seed 1',
    fps: 25,
    source: { size: IMTALKER_SOURCE_SIDE, crop_scale: 0.88 },
    frame: { width: IMTALKER_FRAME_SIDE, height: IMTALKER_FRAME_SIDE },
    motion: { tokens: 32, window: 50, context: 10 },
    audio: { features: 32, normalisation: 'zero_mean_unit_variance', context_frames: 50 },
    graphs,
  };
  await writeFile(join(folder, 'pack.json'), JSON.stringify(pack));
  return folder;
}
