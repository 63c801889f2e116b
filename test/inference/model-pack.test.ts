import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ModelPack } from '../../src/inference/model-pack.js';
import { OnnxModel } from '../../src/inference/onnx-model.js';

// biome-ignore lint/suspicious/noExplicitAny: tests put anything into it
type Pack = Record<string, any>;

const portrait = resolve(__dirname, '../../models/portrait');

/** A copy of the portrait pack whose description a test may change. */
async function changed(change: (pack: Pack) => void): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'facecast-pack-'));
  for (const file of ['face_detector', 'face_mesh', 'audio_encoder', 'motion_generator', 'renderer']) {
    await cp(join(portrait, `${file}.onnx`), join(folder, `${file}.onnx`));
  }
  const pack = JSON.parse(await readFile(join(portrait, 'pack.json'), 'utf8'));
  change(pack);
  await writeFile(join(folder, 'pack.json'), JSON.stringify(pack));
  folders.push(folder);
  return folder;
}

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

it('takes the portrait pack: hashes, names, types and shapes fit', async () => {
  const pack = await ModelPack.read(portrait);
  for (const name of ['audio_encoder', 'motion_generator', 'renderer'] as const) {
    const model = await OnnxModel.load(pack.graphPath(name), { device: 'cpu', threads: 1 });
    pack.check(name, model);
    await model.close();
  }
});

it('says that there is no pack', async () => {
  await expect(ModelPack.read('/nowhere')).rejects.toThrow('There is no model pack at /nowhere');
});

it('names the graph whose file is not the one described', async () => {
  const folder = await changed(() => undefined);
  await writeFile(join(folder, 'renderer.onnx'), 'something else');
  await expect(ModelPack.read(folder)).rejects.toThrow(/^The renderer graph is not the one pack.json names/);
});

it('names the field of pack.json that does not fit', async () => {
  const folder = await changed((pack) => {
    pack.motion.tokens = 'many';
  });
  await expect(ModelPack.read(folder)).rejects.toThrow(/pack\.json does not fit the contract[\s\S]*motion\.tokens/);
});

it('refuses a file outside of the pack', async () => {
  const folder = await changed((pack) => {
    pack.graphs.renderer.file = '/etc/passwd';
  });
  await expect(ModelPack.read(folder)).rejects.toThrow(/graphs\.renderer\.file/);
});

it('names the tensor that does not fit, and how', async () => {
  const folder = await changed((pack) => {
    pack.audio.features = 128;
    pack.motion.context = 12;
  });
  const pack = await ModelPack.read(folder);
  const encoder = await OnnxModel.load(pack.graphPath('audio_encoder'), { device: 'cpu', threads: 1 });
  const generator = await OnnxModel.load(pack.graphPath('motion_generator'), { device: 'cpu', threads: 1 });
  expect(() => pack.check('audio_encoder', encoder)).toThrow(
    /audio_encoder output "features" has shape \[.*160\], not \[1,\?,128\]/,
  );
  expect(() => pack.check('motion_generator', generator)).toThrow(/motion_generator input "audio" has shape/);
  expect(() => pack.check('motion_generator', encoder)).toThrow(/motion_generator input "t" is missing/);
  await encoder.close();
  await generator.close();
});
