import { OnnxModel } from '../inference/onnx-model.js';
import { fromSquare, type RgbImage, type Square, sampleSquare, toPlanes } from './image.js';

/** A rectangle in pixels of a picture. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A face as the detector sees it. All lengths are pixels of the picture. */
export interface Detection {
  /** From the brows to the chin, about. */
  readonly box: Box;
  /** 0..1. */
  readonly score: number;
  /** The eye to the viewer's left, and the one to the right. */
  readonly eyes: readonly [Point, Point];
}

/** The detector's input, pixels. */
const INPUT = 128;
/** Numbers an anchor has: box centre, box size, six points. */
const REGRESSORS = 16;
/** Rows of cells, and anchors a cell: 2 in each of 16x16 cells, then 6 in each of 8x8. */
const LAYERS = [
  { cells: 16, anchors: 2 },
  { cells: 8, anchors: 6 },
] as const;
const MIN_SCORE = 0.5;
/** Two boxes that share more than this (intersection over union) are one face. */
const SAME_FACE = 0.3;

/** Centres of all anchors, pixels of the input, in the order of the graph's outputs. */
const ANCHORS: readonly Point[] = LAYERS.flatMap(({ cells, anchors }) =>
  Array.from({ length: cells * cells * anchors }, (_, index) => {
    const cell = Math.floor(index / anchors);
    const unit = INPUT / cells;
    return { x: ((cell % cells) + 0.5) * unit, y: (Math.floor(cell / cells) + 0.5) * unit };
  }),
);

/** A box by its centre, with the eyes, in pixels of the input. */
interface Candidate {
  readonly score: number;
  /** Centre x, centre y, width, height, left eye x, y, right eye x, y. */
  readonly values: readonly number[];
}

/**
 * BlazeFace, short range (arXiv:1907.05047): finds faces that take at least about a tenth of what it looks at.
 * The graph is `models/portrait/face_detector.onnx`; its README tells the layout of the outputs.
 */
export class FaceDetector {
  readonly #model: OnnxModel;

  private constructor(model: OnnxModel) {
    this.#model = model;
  }

  /** @throws Error when the file is no valid graph. */
  static async load(path: string, threads: number): Promise<FaceDetector> {
    return new FaceDetector(await OnnxModel.load(path, { device: 'cpu', threads }));
  }

  /** The faces inside a square of a picture, surest first. */
  async detect(image: RgbImage, square: Square): Promise<Detection[]> {
    const input = toPlanes(sampleSquare(image, square, INPUT), -1, 1);
    const output = await this.#model.run({ image: { data: input, dims: [1, 3, INPUT, INPUT] } });
    const candidates = decode(output.regressors.data as Float32Array, output.score_logits.data as Float32Array);
    return mergeSame(candidates).map((candidate) => toPicture(candidate, square));
  }

  async close(): Promise<void> {
    await this.#model.close();
  }
}

/** The anchors that saw a face, surest first. */
function decode(regressors: Float32Array, logits: Float32Array): Candidate[] {
  const candidates: Candidate[] = [];
  for (const [index, anchor] of ANCHORS.entries()) {
    const score = 1 / (1 + Math.exp(-logits[index]));
    if (score < MIN_SCORE) continue;
    const [x, y, width, height, ...points] = regressors.subarray(index * REGRESSORS, index * REGRESSORS + 8);
    const eyes = points.map((value, i) => value + (i % 2 === 0 ? anchor.x : anchor.y));
    candidates.push({ score, values: [anchor.x + x, anchor.y + y, width, height, ...eyes] });
  }
  return candidates.sort((a, b) => b.score - a.score);
}

/**
 * Weighted non-maximum suppression, as the paper proposes: boxes of one face are averaged by their scores instead of
 * all but the best being dropped, which steadies the box.
 */
function mergeSame(sorted: readonly Candidate[]): Candidate[] {
  const merged: Candidate[] = [];
  let rest = sorted;
  while (rest.length > 0) {
    const best = rest[0];
    const same = rest.filter((other) => other === best || overlap(best, other) > SAME_FACE);
    rest = rest.filter((other) => !same.includes(other));
    const total = same.reduce((sum, { score }) => sum + score, 0);
    const values = best.values.map((_, i) => same.reduce((sum, c) => sum + c.values[i] * c.score, 0) / total);
    merged.push({ score: best.score, values });
  }
  return merged;
}

/** Intersection over union, 0..1. */
function overlap({ values: a }: Candidate, { values: b }: Candidate): number {
  const shared = (axis: 0 | 1) => {
    const end = Math.min(a[axis] + a[axis + 2] / 2, b[axis] + b[axis + 2] / 2);
    return Math.max(0, end - Math.max(a[axis] - a[axis + 2] / 2, b[axis] - b[axis + 2] / 2));
  };
  const intersection = shared(0) * shared(1);
  return intersection / (a[2] * a[3] + b[2] * b[3] - intersection);
}

function toPicture({ score, values }: Candidate, square: Square): Detection {
  const [centreX, centreY, boxWidth, boxHeight, leftX, leftY, rightX, rightY] = values;
  const point = (u: number, v: number): Point => {
    const [x, y] = fromSquare(square, INPUT, u, v);
    return { x, y };
  };
  const centre = point(centreX, centreY);
  const width = (boxWidth * square.side) / INPUT;
  const height = (boxHeight * square.side) / INPUT;
  const box = { x: centre.x - width / 2, y: centre.y - height / 2, width, height };
  return { box, score, eyes: [point(leftX, leftY), point(rightX, rightY)] };
}
