import { type Box, type Detection, FaceDetector } from './face-detector.js';
import { FaceMesh } from './face-mesh.js';
import type { RgbImage, Square } from './image.js';

/** A face of a picture. Lengths are pixels of the picture; (0, 0) is its top left corner. */
export interface Face {
  /** The detector's box: from the brows to the chin, about. It may reach over the picture's edges. */
  readonly box: Box;
  /** How surely the detector saw a face, 0..1. */
  readonly score: number;
  /** 468 * 3: x, y and z of MediaPipe's face mesh. z has the scale of x and y; smaller is nearer. */
  readonly landmarks: Float32Array;
}

/** Below this, the mesh says that what the detector saw is no face. */
const MIN_CONFIDENCE = 0.5;
/** A picture with more faces is a crowd: only the largest are measured. */
const MAX_FACES = 8;
/**
 * The squares looked at, in long sides of the picture, until one size shows a face: the whole picture; from further
 * away, for a face that fills it; overlapping tiles (2x2 and 4x4 of a square picture), for a face that is small in it.
 */
const LOOKS = [1, 1.6, 0.6, 0.4] as const;
/**
 * The square a found face is looked at again in, in sides of its box: the detector's boxes are too large for faces that
 * are small in what it sees, and this way a face has the same box whatever else the picture shows.
 */
const CLOSE_LOOK = 2.2;

/** Finds faces in pictures, and 468 landmarks on each. */
export class FaceAnalyser {
  readonly #detector: FaceDetector;
  readonly #mesh: FaceMesh;

  private constructor(detector: FaceDetector, mesh: FaceMesh) {
    this.#detector = detector;
    this.#mesh = mesh;
  }

  /**
   * @param paths of `face_detector.onnx` and `face_mesh.onnx`
   * @throws Error when a file is no valid graph.
   */
  static async load(
    paths: { readonly detector: string; readonly mesh: string },
    { threads }: { readonly threads: number },
  ): Promise<FaceAnalyser> {
    return new FaceAnalyser(await FaceDetector.load(paths.detector, threads), await FaceMesh.load(paths.mesh, threads));
  }

  /**
   * All faces found, the largest first; none is an empty list. A head more than about 45 degrees off upright need not
   * be found. Blocks its thread for a few tens of milliseconds, as `OnnxModel.run` does.
   */
  async analyse(image: RgbImage): Promise<Face[]> {
    for (const look of LOOKS) {
      const faces = await this.#measure(image, await this.#detect(image, squaresOf(image, look)));
      if (faces.length > 0) return faces;
    }
    return [];
  }

  async close(): Promise<void> {
    await this.#detector.close();
    await this.#mesh.close();
  }

  /** What the detector sees in the squares, the largest first; a face that two tiles show comes once. */
  async #detect(image: RgbImage, squares: readonly Square[]): Promise<Detection[]> {
    const found: Detection[] = [];
    for (const square of squares) found.push(...(await this.#detector.detect(image, square)));
    const distinct: Detection[] = [];
    for (const detection of found.sort((a, b) => b.score - a.score)) {
      if (!distinct.some((other) => sameFace(detection, other))) distinct.push(detection);
    }
    return distinct.sort((a, b) => sizeOf(b.box) - sizeOf(a.box)).slice(0, MAX_FACES);
  }

  async #measure(image: RgbImage, detections: readonly Detection[]): Promise<Face[]> {
    const faces: Face[] = [];
    for (const detection of detections) {
      const closer = await this.#lookClosely(image, detection);
      const { landmarks, confidence } = await this.#mesh.measure(image, closer);
      if (confidence >= MIN_CONFIDENCE) faces.push({ box: closer.box, score: closer.score, landmarks });
    }
    return faces.sort((a, b) => sizeOf(b.box) - sizeOf(a.box));
  }

  async #lookClosely(image: RgbImage, detection: Detection): Promise<Detection> {
    const { box } = detection;
    const centre = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    const again = await this.#detector.detect(image, { ...centre, side: CLOSE_LOOK * sizeOf(box), angle: 0 });
    return again.find((other) => sameFace(detection, other)) ?? detection;
  }
}

/** The larger side of a face's box. */
export function sizeOf({ width, height }: Box): number {
  return Math.max(width, height);
}

function sameFace({ box: a }: Detection, { box: b }: Detection): boolean {
  const dx = a.x + a.width / 2 - (b.x + b.width / 2);
  const dy = a.y + a.height / 2 - (b.y + b.height / 2);
  return Math.hypot(dx, dy) < 0.5 * Math.max(sizeOf(a), sizeOf(b));
}

/** Squares of `look` long sides that cover the picture, each sharing a third with the next. */
function squaresOf({ width, height }: RgbImage, look: number): Square[] {
  const side = look * Math.max(width, height);
  const centres = (length: number): number[] => {
    if (length <= side) return [length / 2];
    // The margin keeps rounding from adding a square where the division has no remainder.
    const count = Math.ceil((length - side) / ((side * 2) / 3) - 1e-9) + 1;
    return Array.from({ length: count }, (_, i) => side / 2 + ((length - side) * i) / (count - 1));
  };
  return centres(height).flatMap((y) => centres(width).map((x) => ({ x, y, side, angle: 0 })));
}
