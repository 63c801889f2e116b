import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ModelPack } from '../../src/inference/model-pack.js';
import { OnnxModel } from '../../src/inference/onnx-model.js';
import { makeImtalkerPack } from '../support/imtalker-pack.js';

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
  // A folder whose manual is there and whose graphs are still to be made.
  const unmade = await mkdtemp(join(tmpdir(), 'facecast-pack-'));
  folders.push(unmade);
  await writeFile(join(unmade, 'README.md'), '');
  await expect(ModelPack.read(unmade)).rejects.toThrow(
    `There is no model pack at ${unmade}: pack.json cannot be read. ${unmade}/README.md says how it is made.`,
  );
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

describe('a renderer and the source encoder before it', () => {
  type Info = { name: string; type: string; shape: (number | string)[] };
  const model = (inputs: Info[], outputs: Info[] = []) => ({ inputs, outputs }) as unknown as OnnxModel;
  const motion: Info = { name: 'motion', type: 'float32', shape: ['frames', 32] };
  const index: Info = { name: 'source_index', type: 'int32', shape: ['frames'] };
  const frames: Info = { name: 'frames', type: 'uint8', shape: ['frames', 192, 128] };
  const key: Info = { name: 'key', type: 'float16', shape: ['sessions', 4] };
  const row: Info = { ...key, shape: [1, 4] };
  let pack: ModelPack;

  beforeAll(async () => {
    const folder = await makeImtalkerPack();
    folders.push(folder);
    pack = await ModelPack.read(folder);
  });

  it('may draw one frame in a run, or any number, of one session or several', () => {
    for (const inputs of [
      [motion, row],
      [{ ...motion, shape: [1, 32] }, row],
      [motion, index, key],
    ]) {
      pack.check('renderer', model(inputs, [frames]));
      pack.checkIdentity(model([], [row]), model(inputs));
    }
  });

  it('may not draw a fixed number of frames', () => {
    const fixed = model([{ ...motion, shape: [4, 32] }], [frames]);
    expect(() => pack.check('renderer', fixed)).toThrow('renderer input "motion" takes exactly 4 frames');
  });

  it('cannot draw several sessions behind a built-in analyser', async () => {
    const built = await ModelPack.read(portrait);
    const draws = model([{ ...motion, shape: ['frames', 31] }, index], [{ ...frames, shape: ['frames', 768, 512] }]);
    expect(() => built.check('renderer', draws)).toThrow('a built-in analyser makes no rows for it to choose from');
  });

  it('must agree on source_index and on every identity tensor', () => {
    const wide = model([motion, { ...index, type: 'int64' }], [frames]);
    expect(() => pack.check('renderer', wide)).toThrow(
      'renderer input "source_index" is int64 [frames], not int32 [?].',
    );
    const draws = model([motion, index, key]);
    const differs = (made: Info[]) => () => pack.checkIdentity(model([], made), draws);
    expect(differs([])).toThrow('wants identity tensor "key", which source_encoder does not give');
    expect(differs([{ ...row, type: 'float32' }])).toThrow('"key" is float32, the renderer wants float16');
    expect(differs([{ ...row, shape: [1, 4, 1] }])).toThrow('"key" has shape [1,4,1], the renderer wants [sessions,4]');
    expect(differs([{ ...row, shape: [2, 4] }])).toThrow('"key" must be a row of source_encoder');
    expect(() => pack.checkIdentity(model([], [row]), model([motion, index, row]))).toThrow('"key" must be a row');
  });
});
