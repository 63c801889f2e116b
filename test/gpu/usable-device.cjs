// Asked to test on a GPU: one that cannot be used is a failure, not a reason to skip. In a process of its own, because
// ONNX Runtime may be loaded only once in Jest's.
const { spawnSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const { join, resolve } = require('node:path');
const { pathToFileURL } = require('node:url');

const root = resolve(__dirname, '../..');
const DEVICES = ['cuda', 'tensorrt', 'cpu'];

module.exports = () => {
  const device = process.env.GPU_TEST_DEVICE || 'cuda';
  if (!DEVICES.includes(device)) throw new Error(`GPU_TEST_DEVICE=${device} must be one of ${DEVICES.join(', ')}.`);
  const pack = process.env.GPU_TEST_PACK;
  if (pack && !existsSync(join(pack, 'pack.json'))) {
    throw new Error(`GPU_TEST_PACK=${pack} must be the folder of a model pack: there is no pack.json in it.`);
  }
  if (!pack && !existsSync(join(root, 'models/imtalker/pack.json'))) {
    console.warn(
      'No full-size pack in models/imtalker: tested with the small ones alone. GPU_TEST_PACK names another.',
    );
  }
  const program = `
    const { OnnxModel } = await import(${JSON.stringify(pathToFileURL(join(root, 'dist/inference/onnx-model.js')))});
    try {
      const path = ${JSON.stringify(join(root, 'test/support/imtalker-pack/audio_encoder.onnx'))};
      const model = await OnnxModel.load(path, { device: '${device}', threads: 1 });
      await model.run({ waveform: { data: new Float32Array(6400), dims: [1, 6400] } });
    } catch (error) {
      console.log(error.message);
      process.exit(3);
    }`;
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    env: { ORT_DISABLE_TELEMETRY: '1', ...process.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status === 0) {
    if (device === 'cpu') console.warn('GPU_TEST_DEVICE=cpu: this tries out the tests themselves; no GPU is tested.');
    return;
  }
  throw new Error(
    `The tests for a GPU were asked for, and ${device} is not usable here: ${stdout.trim() || 'the trial crashed.'}\n` +
      'Run "npm run setup:cuda", which says what is missing. GPU_TEST_DEVICE=cpu tries out the tests themselves.',
  );
};
