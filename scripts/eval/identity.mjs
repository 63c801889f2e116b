// Whether it is still the same person: embeddings of upright, aligned faces. models/evaluation/README.md tells of the network.
import { join, resolve } from 'node:path';
import { cosine } from './statistics.mjs';

const root = resolve(import.meta.dirname, '../..');
const MODEL = join(root, 'models/evaluation/face_embedding.onnx');
/** The network's picture, pixels, and where in it the outer eye corners and the base of the nose lie. */
const SIZE = 150;
const ANCHORS = [
  { point: 33, x: 37, y: 46 },
  { point: 263, x: 111, y: 46 },
  { point: 2, x: 74, y: 88 },
];

export class FaceEmbedder {
  #model;
  #images;

  constructor(model, images) {
    this.#model = model;
    this.#images = images;
  }

  static async load() {
    const [{ OnnxModel }, images] = await Promise.all(
      ['inference/onnx-model.js', 'avatar/image.js'].map((path) => import(join(root, 'dist', path))),
    );
    return new FaceEmbedder(await OnnxModel.load(MODEL, { device: 'cpu', threads: 1 }), images);
  }

  /** 128 numbers about the face with these landmarks. */
  async embed(picture, landmarks) {
    const face = this.#images.sampleSquare(picture, alignedSquare(landmarks), SIZE);
    const planes = this.#images.toPlanes(face, 0, 1);
    const { embedding } = await this.#model.run({ image: { data: planes, dims: [1, 3, SIZE, SIZE] } });
    return Float32Array.from(embedding.data);
  }

  async close() {
    await this.#model.close();
  }
}

/** The square of the picture in which the anchors come to lie where the network wants them, by least squares. */
export function alignedSquare(landmarks) {
  const count = ANCHORS.length;
  const centre = { x: 0, y: 0, px: 0, py: 0 };
  for (const { point, x, y } of ANCHORS) {
    centre.x += x / count;
    centre.y += y / count;
    centre.px += landmarks[point * 3] / count;
    centre.py += landmarks[point * 3 + 1] / count;
  }
  // Rotation and scale as one complex number: the sum of conj(anchor) * point over that of |anchor|^2.
  let [re, im, norm] = [0, 0, 0];
  for (const { point, x, y } of ANCHORS) {
    const [dx, dy] = [x - centre.x, y - centre.y];
    const [px, py] = [landmarks[point * 3] - centre.px, landmarks[point * 3 + 1] - centre.py];
    re += dx * px + dy * py;
    im += dx * py - dy * px;
    norm += dx * dx + dy * dy;
  }
  re /= norm;
  im /= norm;
  const [dx, dy] = [SIZE / 2 - centre.x, SIZE / 2 - centre.y];
  return {
    x: centre.px + dx * re - dy * im,
    y: centre.py + dx * im + dy * re,
    side: SIZE * Math.hypot(re, im),
    angle: Math.atan2(im, re),
  };
}

/** Mean cosine of every two of the embeddings. */
export function meanPairCosine(embeddings) {
  const values = embeddings.flatMap((a, i) => embeddings.slice(i + 1).map((b) => cosine(a, b)));
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
