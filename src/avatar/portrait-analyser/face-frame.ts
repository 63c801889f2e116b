import { LANDMARK_COUNT, POINT } from './landmark-sets.js';
import { clamp, hypot, max } from './math.js';

/** Below this an outer-eye distance carries no features worth moving; degenerate meshes are treated as this big. */
const SMALLEST_UNIT_PX = 10;
/** Above this the face is larger than the picture; the layers' memory is bounded by it. */
const LARGEST_UNIT_PX = 320;

/**
 * The head's own coordinate system. x runs from eye to eye, y down the face, z away from the camera; the origin lies
 * between the outer eye corners; the unit u is the distance of those corners (about 92 mm on an adult).
 */
export interface FaceFrame {
  /** Landmarks in picture pixels, x y z each (whole numbers are pixel centres; z away from the camera), finite. */
  readonly points: Float64Array;
  /** Rows x, y, z of the head's axes in picture coordinates (orthonormal, row-major 3x3). */
  readonly axes: Float64Array;
  readonly centre: readonly [number, number, number];
  /** u in pixels. */
  readonly unit: number;
  /** How far the ear axis lies behind the origin, in u along z. */
  readonly earDepth: number;
}

/** One landmark's position in the picture. */
export function point2(frame: FaceFrame, index: number): [number, number] {
  return [frame.points[index * 3] as number, frame.points[index * 3 + 1] as number];
}

/** A landmark in the head's coordinates, in u. */
export function canonical(frame: FaceFrame, index: number): [number, number, number] {
  const p = frame.points;
  return toCanonical(
    frame,
    (p[index * 3] - frame.centre[0]) / frame.unit,
    (p[index * 3 + 1] - frame.centre[1]) / frame.unit,
    (p[index * 3 + 2] - frame.centre[2]) / frame.unit,
  );
}

/** A picture position along the face's axes as they are seen, from between the eyes, in u: right and down the face. */
export function inFacePlane(frame: FaceFrame, x: number, y: number): [number, number] {
  const dx = (x - frame.centre[0]) / frame.unit;
  const dy = (y - frame.centre[1]) / frame.unit;
  const length = max(hypot(frame.axes[3], frame.axes[4]), 1e-6);
  const down = [frame.axes[3] / length, frame.axes[4] / length];
  return [dx * down[1] - dy * down[0], dx * down[0] + dy * down[1]];
}

/** A camera-aligned offset from the origin (in u) in the head's coordinates. */
export function toCanonical(frame: FaceFrame, dx: number, dy: number, dz: number): [number, number, number] {
  const a = frame.axes;
  const row = (i: number) => a[i] * dx + a[i + 1] * dy + a[i + 2] * dz;
  return [row(0), row(3), row(6)];
}

/**
 * Fits the head frame to a mesh.
 *
 * @param landmarks 468 x (x, y, z) in pixels. Points that are not finite are taken as the mean of the others;
 *   a collapsed mesh gets an upright frame of the smallest usable size instead of a division by zero.
 */
export function fitFaceFrame(landmarks: Float32Array, width: number, height: number): FaceFrame {
  const points = cleanPoints(landmarks, width, height);
  const vector = (to: number, from: number): number[] =>
    [0, 1, 2].map((k) => points[to * 3 + k] - points[from * 3 + k]);
  let x = vector(POINT.outerEyeRight, POINT.outerEyeLeft);
  const measured = Math.hypot(...x);
  const unit = clamp(measured, SMALLEST_UNIT_PX, LARGEST_UNIT_PX);
  x = measured > 1e-3 ? x.map((v) => v / measured) : [1, 0, 0];
  let y = vector(POINT.chin, POINT.foreheadTop);
  const along = dot(x, y);
  y = y.map((v, k) => v - along * x[k]);
  let length = Math.hypot(...y);
  if (length < 0.2 * unit) {
    // No usable vertical in the mesh: square to the eye line in the picture plane.
    y = [-x[1], x[0] as number, 0];
    length = Math.max(Math.hypot(...y), 1e-6);
  }
  y = y.map((v) => v / length);
  const z = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]];
  const middle = (k: number) => (points[POINT.outerEyeLeft * 3 + k] + points[POINT.outerEyeRight * 3 + k]) / 2;
  const frame = {
    points,
    axes: Float64Array.from([...x, ...y, ...z]),
    centre: [middle(0), middle(1), middle(2)] as const,
    unit,
    earDepth: 0,
  };
  const earDepth = (canonical(frame, POINT.earLeft)[2] + canonical(frame, POINT.earRight)[2]) / 2;
  return { ...frame, earDepth: Math.max(earDepth, canonical(frame, POINT.lowerLipOuterMiddle)[2] + 0.15) };
}

function cleanPoints(landmarks: Float32Array, width: number, height: number): Float64Array {
  const points = new Float64Array(LANDMARK_COUNT * 3);
  const sum = [0, 0, 0];
  let finite = 0;
  const isFinitePoint = (i: number) => [0, 1, 2].every((k) => Number.isFinite(landmarks[i * 3 + k]));
  for (let i = 0; i < LANDMARK_COUNT; i++) {
    if (!isFinitePoint(i)) continue;
    finite++;
    for (let k = 0; k < 3; k++) sum[k] = sum[k] + landmarks[i * 3 + k];
  }
  const mean = finite > 0 ? sum.map((v) => v / finite) : [width / 2, height / 2, 0];
  for (let i = 0; i < LANDMARK_COUNT; i++) {
    const good = isFinitePoint(i);
    // Landmarks count pixels from the picture's corner; from here on whole numbers are pixel centres.
    for (let k = 0; k < 3; k++) points[i * 3 + k] = (good ? landmarks[i * 3 + k] : mean[k]) - (k < 2 ? 0.5 : 0);
  }
  return points;
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, v, k) => sum + v * b[k], 0);
}
