import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Side of the tiny pack's frames, pixels. */
export const TINY_SIDE = 32;

/**
 * Puts a pack together whose frames can be foretold (see `tiny-pack/build.py`), with the portrait pack's face analysis.
 * @returns its folder, below the system's temporary one; the caller removes it.
 */
export async function makeTinyPack(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'facecast-tiny-'));
  const sources = {
    source_encoder: 'tiny-pack',
    audio_encoder: 'tiny-pack',
    motion_generator: 'tiny-pack',
    renderer: 'tiny-pack',
    face_detector: '../../models/portrait',
    face_mesh: '../../models/portrait',
  };
  const graphs: Record<string, { file: string; sha256: string }> = {};
  for (const [name, from] of Object.entries(sources)) {
    const file = `${name}.onnx`;
    await cp(resolve(__dirname, from, file), join(folder, file));
    const sha256 = createHash('sha256')
      .update(await readFile(join(folder, file)))
      .digest('hex');
    graphs[name] = { file, sha256 };
  }
  const pack = {
    name: 'tiny',
    version: '1',
    licence: 'Apache-2.0',
    weights: 'none',
    fps: 25,
    source: { size: TINY_SIDE, crop_scale: 1.2 },
    frame: { width: TINY_SIDE, height: TINY_SIDE },
    motion: { tokens: 4, window: 10, context: 10 },
    audio: { features: 4, normalisation: 'none', context_frames: 5 },
    graphs,
  };
  await writeFile(join(folder, 'pack.json'), JSON.stringify(pack));
  return folder;
}
