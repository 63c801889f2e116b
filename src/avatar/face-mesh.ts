import { OnnxModel } from '../inference/onnx-model.js';
import type { Detection } from './face-detector.js';
import { fromSquare, type RgbImage, type Square, sampleSquare, toPlanes } from './image.js';

/** The outer corners of the eyes, to the viewer's left and right: landmark numbers. */
const OUTER_EYES = [33, 263] as const;

/** Where a face lies in a picture. */
export interface MeshResult {
  /** x, y and z of each landmark: pixels of the picture; z has the same scale, smaller is nearer. */
  readonly landmarks: Float32Array;
  /** How surely this is a face, 0..1. */
  readonly confidence: number;
}

/** The mesh's input, pixels. */
const INPUT = 192;
/** The square the mesh looks at, in sides of the box around the face. */
const ROOM = 1.5;

/**
 * MediaPipe's face mesh (arXiv:1907.06724): 468 points on a face. The graph is `models/portrait/face_mesh.onnx`.
 */
export class FaceMesh {
  readonly #model: OnnxModel;

  private constructor(model: OnnxModel) {
    this.#model = model;
  }

  /** @throws Error when the file is no valid graph. */
  static async load(path: string, threads: number): Promise<FaceMesh> {
    return new FaceMesh(await OnnxModel.load(path, { device: 'cpu', threads }));
  }

  /**
   * The landmarks of a detected face. Looks twice: the first mesh tells where and how tilted the face is better than
   * the detector does, and the mesh is best on an upright face that fills its square as in training.
   */
  async measure(image: RgbImage, detection: Detection): Promise<MeshResult> {
    const first = await this.#look(image, squareOfDetection(detection));
    return this.#look(image, squareOfLandmarks(first.landmarks));
  }

  async #look(image: RgbImage, square: Square): Promise<MeshResult> {
    const input = toPlanes(sampleSquare(image, square, INPUT), 0, 1);
    const output = await this.#model.run({ image: { data: input, dims: [1, 3, INPUT, INPUT] } });
    const raw = output.landmarks.data as Float32Array;
    const landmarks = new Float32Array(raw.length);
    for (let i = 0; i < raw.length; i += 3) {
      [landmarks[i], landmarks[i + 1]] = fromSquare(square, INPUT, raw[i], raw[i + 1]);
      landmarks[i + 2] = (raw[i + 2] * square.side) / INPUT;
    }
    return { landmarks, confidence: 1 / (1 + Math.exp(-(output.face_logit.data as Float32Array)[0])) };
  }

  async close(): Promise<void> {
    await this.#model.close();
  }
}

function squareOfDetection({ box, eyes: [left, right] }: Detection): Square {
  return {
    x: box.x + box.width / 2,
    y: box.y + box.height / 2,
    side: ROOM * Math.max(box.width, box.height),
    angle: Math.atan2(right.y - left.y, right.x - left.x),
  };
}

/** The square around the landmarks, level with the eyes. */
function squareOfLandmarks(landmarks: Float32Array): Square {
  const [left, right] = OUTER_EYES;
  const angle = Math.atan2(
    landmarks[right * 3 + 1] - landmarks[left * 3 + 1],
    landmarks[right * 3] - landmarks[left * 3],
  );
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  // Extent along the eye line and across it.
  let [minU, maxU, minV, maxV] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < landmarks.length; i += 3) {
    const u = landmarks[i] * cos + landmarks[i + 1] * sin;
    const v = landmarks[i + 1] * cos - landmarks[i] * sin;
    minU = Math.min(minU, u);
    maxU = Math.max(maxU, u);
    minV = Math.min(minV, v);
    maxV = Math.max(maxV, v);
  }
  const u = (minU + maxU) / 2;
  const v = (minV + maxV) / 2;
  return { x: u * cos - v * sin, y: u * sin + v * cos, side: ROOM * Math.max(maxU - minU, maxV - minV), angle };
}
