import { CANONICAL_FACE } from './canonical-face.js';
import { type Face, sizeOf } from './face.js';
import type { RgbImage } from './image.js';
import { blurOutside, resampleSquare } from './resample.js';

/** The square picture an avatar is made from. */
export interface SourceImage {
  /** size x size. */
  readonly image: RgbImage;
  /** 468 * 3: x, y, z in pixels of `image`, see `Face.landmarks`. */
  readonly landmarks: Float32Array;
  /** True when no face was found and the landmarks are those of a mean face in the middle. */
  readonly assumed: boolean;
}

export interface CropOptions {
  /** Side of the result, pixels. */
  readonly size: number;
  /** Crop to the face; otherwise, and where there is no face, the whole picture is kept. */
  readonly crop: boolean;
  /** Half the side of the crop, in larger sides of the face's box. 1.2 gives a face of about half the height. */
  readonly scale: number;
  /** How far the crop's centre lies above the box's, in the same unit: there is more hair above than neck below. */
  readonly raise?: number;
}

const RAISE = 0.1;
/** The least side, in larger sides of the box, that leaves a face room to move. Below it the picture is extended. */
const LEAST_SIDE = 1.45;
/** Height of the assumed face in the picture. */
const ASSUMED_HEIGHT = 0.45;

/**
 * The square that is animated.
 *
 * With `crop`, a square around the face: moved, not filled, where it would leave the picture, and smaller where the picture
 * is; only where that would cut the face itself is the picture continued over its edges. Without, the whole picture in the
 * middle, its shorter side continued. Continuations are the edge pixels, blurred.
 */
export function cropToFace(image: RgbImage, face: Face | undefined, options: CropOptions): SourceImage {
  const { size } = options;
  const { left, top, side } = face && options.crop ? squareAround(image, face, options) : wholeOf(image);
  const scale = size / side;
  const result = resampleSquare(image, left, top, side, size);
  const inner = {
    left: Math.max(0, Math.round(-left * scale)),
    top: Math.max(0, Math.round(-top * scale)),
    right: Math.min(size, Math.round((image.width - left) * scale)),
    bottom: Math.min(size, Math.round((image.height - top) * scale)),
  };
  if (inner.left > 0 || inner.top > 0 || inner.right < size || inner.bottom < size) blurOutside(result, inner);
  if (!face) return { image: result, landmarks: assumedLandmarks(size), assumed: true };
  const offsets = [left, top, 0];
  const landmarks = face.landmarks.map((value, i) => (value - offsets[i % 3]) * scale);
  return { image: result, landmarks, assumed: false };
}

interface UprightSquare {
  readonly left: number;
  readonly top: number;
  readonly side: number;
}

function squareAround(
  { width, height }: RgbImage,
  { box }: Face,
  { scale, raise = RAISE }: CropOptions,
): UprightSquare {
  const unit = sizeOf(box);
  const side = Math.min(2 * scale * unit, Math.max(Math.min(width, height), LEAST_SIDE * unit));
  return {
    left: place(box.x + box.width / 2, side, width),
    top: place(box.y + box.height / 2 - raise * unit, side, height),
    side,
  };
}

function wholeOf({ width, height }: RgbImage): UprightSquare {
  const side = Math.max(width, height);
  return { left: (width - side) / 2, top: (height - side) / 2, side };
}

/** Where a stretch of `side` around `centre` begins so that it stays within 0..length, or holds all of it. */
function place(centre: number, side: number, length: number): number {
  const spare = length - side;
  return Math.min(Math.max(centre - side / 2, Math.min(0, spare)), Math.max(0, spare));
}

function assumedLandmarks(size: number): Float32Array {
  const scale = (ASSUMED_HEIGHT * size) / 1000;
  return Float32Array.from(CANONICAL_FACE, (value, i) => value * scale + (i % 3 === 2 ? 0 : size / 2));
}
