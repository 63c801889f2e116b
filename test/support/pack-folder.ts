import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/**
 * Puts the four graphs of a folder beside this file, the portrait pack's face analysis and a description together.
 * @param facts what `pack.json` says beside the graphs
 * @returns the pack's folder, below the system's temporary one; the caller removes it.
 */
export async function makePackFolder(name: string, facts: object): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `facecast-${name}-`));
  const portrait = '../../models/portrait';
  const sources = {
    source_encoder: name,
    audio_encoder: name,
    motion_generator: name,
    renderer: name,
    face_detector: portrait,
    face_mesh: portrait,
  };
  const graphs: Record<string, { file: string; sha256: string }> = {};
  for (const [graph, from] of Object.entries(sources)) {
    const file = `${graph}.onnx`;
    await cp(resolve(__dirname, from, file), join(folder, file));
    const bytes = await readFile(join(folder, file));
    graphs[graph] = { file, sha256: createHash('sha256').update(bytes).digest('hex') };
  }
  const common = { version: '1', licence: 'Apache-2.0', fps: 25, graphs };
  await writeFile(join(folder, 'pack.json'), JSON.stringify({ ...common, ...facts }));
  return folder;
}
