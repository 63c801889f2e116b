// Runs face_embedding.onnx beside the network it was made from, on the same numbers, and fails where they differ.
//   node check_face_embedding.mjs FOLDER_OF_THE_UNPACKED_NPM_PACKAGE
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import ort from 'onnxruntime-node';

const SIZE = 150;
/** Of embeddings whose length is about 1.4: what rounding does in thirty layers, and no more. */
const LARGEST_DIFFERENCE = 1e-3;

const folder = process.argv[2];
if (!folder) {
  console.error('usage: node check_face_embedding.mjs FOLDER_OF_THE_UNPACKED_NPM_PACKAGE');
  process.exit(2);
}
// The package's bundle is for browsers: it wants a window to be there, and leaves it alone.
globalThis.window = { document: {}, performance };
const { tf, nets } = await import(resolve(folder, 'dist/face-api.esm.js'));
await tf.setBackend('cpu');
const session = await ort.InferenceSession.create(join(import.meta.dirname, 'face_embedding.onnx'));
const original = nets.faceRecognitionNet;
original.loadFromWeightMap(await readWeights());

let largest = 0;
// Noise, a gradient and a disc: the graphs must agree on any picture.
for (const [name, picture] of Object.entries({
  noise: (x, y) => ((Math.sin(x * 12.9898 + y * 78.233) * 43758.5453) % 1) * 127 + 128,
  gradient: (x, y, c) => (c === 0 ? x : c === 1 ? y : x + y) % 256,
  disc: (x, y, c) => (Math.hypot(x - 75, y - 75) < 50 ? 200 - 30 * c : 20),
})) {
  const pixels = Float32Array.from({ length: SIZE * SIZE * 3 }, (_, i) => {
    const at = Math.floor(i / 3);
    return Math.round(picture(at % SIZE, Math.floor(at / SIZE), i % 3));
  });
  const expected = await original.forward(tf.tensor4d(pixels, [1, SIZE, SIZE, 3])).then((tensor) => tensor.data());
  const planes = Float32Array.from({ length: pixels.length }, (_, i) => {
    const plane = SIZE * SIZE;
    return pixels[(i % plane) * 3 + Math.floor(i / plane)] / 255;
  });
  const { embedding } = await session.run({ image: new ort.Tensor('float32', planes, [1, 3, SIZE, SIZE]) });
  const difference = Math.max(...embedding.data.map((value, i) => Math.abs(value - expected[i])));
  console.log(
    `${name}: length ${Math.hypot(...expected).toFixed(3)}, largest difference ${difference.toExponential(1)}`,
  );
  largest = Math.max(largest, difference);
}
if (!(largest < LARGEST_DIFFERENCE)) {
  console.error(`The graphs differ by ${largest}.`);
  process.exit(1);
}

/** The package's weights as tensors by name. */
async function readWeights() {
  const base = join(folder, 'model/face_recognition_model');
  const [group] = JSON.parse(await readFile(`${base}-weights_manifest.json`, 'utf8'));
  const bytes = await readFile(`${base}.bin`);
  return tf.io.decodeWeights(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), group.weights);
}
