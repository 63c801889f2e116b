import type { Tensor } from '../../inference/onnx-model.js';
import type { RgbImage } from '../image.js';
import { expressionFields } from './expression-fields.js';
import { type EyeFrame, fitEyeFrame } from './eye-frame.js';
import { cutEye, eyeRect } from './eyelids.js';
import { type FaceFrame, fitFaceFrame } from './face-frame.js';
import { HeadLayer } from './head-layer.js';
import { EYES, LANDMARK_COUNT } from './landmark-sets.js';
import { tuckRaise, upperClosing } from './lip-closing.js';
import { findLipLines } from './lip-curve.js';
import { abs, clamp, max, min, smoothstep } from './math.js';
import { fitMouthFrame, inMouth, type MouthFrame } from './mouth-frame.js';
import { drawInterior } from './mouth-interior.js';
import { type Patch, Photo, type Rect } from './photo.js';
import { HeadShape, poseField, poseMotionAt } from './pose-field.js';
import { coveringCells } from './regions.js';
import { SHADE_NODES, SHADES, shadeFields, shadeRegion } from './shading.js';
import { cutSkin, mouthRect, mouthRegion } from './skin-layers.js';
import { wearsSpectacles } from './spectacles.js';
import { colourTables, coverageTables, distanceTables, TABLE_SCALE, toYuv } from './tables.js';
import { eachNode, GRID_NODES, gridUnitsPerPixel, placeWarpGrid, type WarpGrid } from './warp-grid.js';

/** Tensors that make the renderer draw one person, by the renderer graph's input names, and `motion_ref`. */
export type IdentityTensors = Record<string, Tensor>;

export interface PortraitSource {
  /** The source image, 512x512. */
  readonly image: RgbImage;
  /** 468 x (x, y, z) in pixels; (0.5, 0.5) is the middle of the first pixel, z grows away from the camera. */
  readonly landmarks: Float32Array;
}

/** Side of the source image and of the frame, pixels. */
const FRAME_SIZE = 512;
/** Motion tokens a frame. */
const MOTION_WIDTH = 31;
/** Signed distances are kept within these, in u: the lips' alpha and contact shadow, and a closing eyelid's way. */
const LIP_RANGE = 0.06;
const EYE_RANGE = 0.16;
/** Alpha goes from 0 to 1 over this many source pixels of signed distance. */
const EDGE_PIXELS = 1.6;
/** How far gaze at 1 moves the eyeball's picture, in u. */
const GAZE_X = 0.026;
const GAZE_Y = 0.014;
/** How far the head's motion takes any part of the face, at most, in u. */
const FACE_REACH = 0.35;
/** Where expression moves less than this many pixels, it is left out. */
const UNSEEN_PIXELS = 0.1;

/**
 * Turns one portrait into the identity tensors of the built-in renderer: displacement fields, layers and look-up tables.
 *
 * Pure geometry on the picture and its mesh; about three quarters of a second on one core, the same input gives the same bytes. Any
 * mesh is accepted: tilted, small or cut by the frame's border; degenerate geometry is bounded, never NaN.
 *
 * It comes in parts, the longest of them a third of the whole, so that other sessions' frames need not wait for all of it.
 *
 * @throws RangeError when the image is not 512x512 or the mesh has fewer than 468 points
 */
export function* analysePortrait(source: PortraitSource): Generator<undefined, IdentityTensors> {
  const { image, landmarks } = source;
  if (image.width !== FRAME_SIZE || image.height !== FRAME_SIZE) throw new RangeError('source image must be 512x512');
  if (landmarks.length < LANDMARK_COUNT * 3) throw new RangeError('face mesh must have 468 points');
  const photo = new Photo(image);
  const face = fitFaceFrame(landmarks, FRAME_SIZE, FRAME_SIZE);
  const grid = placeWarpGrid(face, FRAME_SIZE);
  const head = new HeadShape(face, grid);
  const mouth = fitMouthFrame(face, findLipLines(photo, face));
  const glasses = wearsSpectacles(photo, face);
  const eyes = [fitEyeFrame(face, EYES[0], 1, glasses), fitEyeFrame(face, EYES[1], -1, glasses)] as const;
  const nodes = GRID_NODES * GRID_NODES;
  yield;
  const layer = new HeadLayer(photo, face, grid);
  yield;
  const fields = expressionFields(face, mouth, eyes, head, grid);
  const turning = poseField(face, head, grid, FRAME_SIZE, (x, y) => layer.weight(x, y));
  const shading = shadeFields(face, mouth, grid);
  yield;
  const base = baseTables(photo, layer);
  yield;
  const mouthParts = mouthTables(photo, face, mouth, grid);
  yield;
  const left = eyeTables('eye_left', photo, eyes[0], grid);
  yield;
  const right = eyeTables('eye_right', photo, eyes[1], grid);
  return {
    motion_ref: floats(new Array<number>(MOTION_WIDTH).fill(0), [1, MOTION_WIDTH]),
    field_expression: { data: fields, dims: [fields.length / (4 * nodes), 4 * nodes] },
    ...faceNodes(fields, face, grid),
    field_pose: { data: turning, dims: [11, 2 * nodes] },
    field_shade: { data: shading, dims: [SHADES.length, SHADE_NODES * SHADE_NODES] },
    select_lower: { data: lowerSelection(mouth, grid), dims: [1, 1, GRID_NODES, GRID_NODES] },
    window_start: integers([grid.y0, grid.x0]),
    window_size: integers([grid.size, grid.size]),
    cell_scales: floats([1, 1, grid.cell, grid.cell], [4]),
    grid_pixels: floats([(grid.cell * (GRID_NODES - 1)) / 2], [1]),
    upper_closing: floats([upperClosing(mouth)], [1]),
    jaw_axis: vector(mouth.down, face.unit * TABLE_SCALE),
    gaze_axes: gazeAxes(face),
    lip_edge: floats([(LIP_RANGE * face.unit) / 127 / EDGE_PIXELS], [1]),
    eye_edge: floats([(EYE_RANGE * face.unit) / 127 / EDGE_PIXELS], [1]),
    region_motion: regionMotion(face, head, grid, mouth, eyes),
    ...blockOf('shade', grid, shadeRegion(mouth, photo)),
    field_alpha: { data: alphaField(layer, grid), dims: [1, 1, GRID_NODES, GRID_NODES] },
    ...blockOf('head', grid, layer.rect()),
    ...base,
    ...mouthParts,
    ...left,
    ...right,
  };
}

/**
 * The nodes that expression moves, and how to address a field cut to them: its sampling coordinates are scale times the
 * square's own plus shift. `face_reach`: how many nodes further a turn of the head may take them.
 */
function faceNodes(fields: Float32Array, face: FaceFrame, grid: WarpGrid): IdentityTensors {
  const last = GRID_NODES - 1;
  const least = UNSEEN_PIXELS * gridUnitsPerPixel(grid);
  let [top, left, bottom, right] = [last, last, 0, 0];
  for (let at = 0; at < fields.length; at++) {
    if (abs(fields[at]) < least) continue;
    const node = at % (GRID_NODES * GRID_NODES);
    const row = Math.floor(node / GRID_NODES);
    const column = node % GRID_NODES;
    top = min(top, row);
    bottom = max(bottom, row);
    left = min(left, column);
    right = max(right, column);
  }
  // A rim of unmoved nodes: beyond the block its edge goes on. Nothing moved leaves one cell.
  const span = (from: number, to: number): [number, number] => {
    const first = clamp(from - 1, 0, last - 1);
    return [first, max(min(to + 1, last) - first + 1, 2)];
  };
  const [row, rows] = span(top, bottom);
  const [column, columns] = span(left, right);
  const scale = [columns, rows].map((count) => last / (count - 1));
  const shift = [column, row].map((first, k) => scale[k] * (1 - (2 * first) / last) - 1);
  return {
    face_nodes: integers([row, column]),
    face_node_count: integers([rows, columns]),
    face_grid_scale: floats(scale, [1, 2, 1, 1]),
    face_grid_shift: floats(shift, [1, 2, 1, 1]),
    face_reach: integers([Math.ceil((FACE_REACH * face.unit) / grid.cell)]),
  };
}

/** Which of the two skin layers moves a pixel outside the composed regions: 0 the upper, 1 the lower. */
function lowerSelection(mouth: MouthFrame, grid: WarpGrid): Float32Array {
  const selection = new Float32Array(GRID_NODES * GRID_NODES);
  const soft = 0.06 * mouth.unit;
  eachNode(grid, (x, y, node) => {
    const [u, v] = inMouth(mouth, x, y);
    selection[node] = smoothstep(-soft, soft, v - mouth.upperInner(u));
  });
  return selection;
}

/** Table entries the eyeball's picture moves by per unit of gaze: rows gaze_x and gaze_y, columns x and y. */
function gazeAxes(face: FaceFrame): Tensor {
  const scale = face.unit * TABLE_SCALE;
  const a = face.axes;
  return floats([a[0] * GAZE_X * scale, a[1] * GAZE_X * scale, a[3] * GAZE_Y * scale, a[4] * GAZE_Y * scale], [2, 2]);
}

/** How many cells each composed region follows the head, per pose coefficient: rows (y), columns (x) of each region. */
function regionMotion(
  face: FaceFrame,
  head: HeadShape,
  grid: WarpGrid,
  mouth: MouthFrame,
  eyes: readonly EyeFrame[],
): Tensor {
  const middles = [mouth.origin, ...eyes.map((eye) => eye.origin), mouth.origin];
  const motions = middles.map(([x, y]) => poseMotionAt(face, head, x, y));
  const rows = motions[0].map((_, k) =>
    motions.flatMap((motion) => [motion[k][1] / grid.cell, motion[k][0] / grid.cell]),
  );
  return floats(rows.flat(), [rows.length, 2 * middles.length]);
}

/** Opacity of the head's layer at the nodes. */
function alphaField(layer: HeadLayer, grid: WarpGrid): Float32Array {
  const field = new Float32Array(GRID_NODES * GRID_NODES);
  eachNode(grid, (x, y, node) => {
    field[node] = layer.alpha(x, y);
  });
  return field;
}

function baseTables(photo: Photo, layer: HeadLayer): IdentityTensors {
  const whole = photo.patch({ x0: 0, y0: 0, x1: photo.width, y1: photo.height });
  const behind = photo.patch(whole.rect);
  behind.rgb.set(layer.background());
  const tables = colourTables(whole);
  const still = colourTables(behind);
  const everyThird = (table: Uint8Array, side: number): Tensor => {
    // Every third entry is a pixel as it is.
    const data = new Uint8Array(side * side);
    const wide = side * TABLE_SCALE;
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) data[y * side + x] = table[y * TABLE_SCALE * wide + x * TABLE_SCALE];
    }
    return { data, dims: [1, 1, side, side] };
  };
  return {
    base_y: bytes(tables.y),
    base_u: bytes(tables.u),
    base_v: bytes(tables.v),
    still_y: everyThird(still.y, FRAME_SIZE),
    still_u: everyThird(still.u, FRAME_SIZE / 2),
    still_v: everyThird(still.v, FRAME_SIZE / 2),
  };
}

function mouthTables(photo: Photo, face: FaceFrame, mouth: MouthFrame, grid: WarpGrid): IdentityTensors {
  const rect = mouthRect(mouth, photo);
  const skin = cutSkin(photo, mouth, rect);
  const interior = drawInterior(photo, face, mouth, rect);
  const { width, height } = skin.upper;
  const range = LIP_RANGE * face.unit;
  return {
    ...placement('mouth', grid, rect, mouthRegion(mouth, photo)),
    mouth_shadow: floats(toYuv(interior.shadow), [3]),
    mouth_jaw_rest: floats([interior.jawRest / face.unit], [1]),
    tuck_raise: floats([tuckRaise(mouth, interior.teethEdge)], [1]),
    ...colours('mouth_upper', skin.upper),
    ...colours('mouth_lower', skin.lower),
    ...colours('mouth_jaw', interior.jaw),
    ...colours('mouth_teeth', interior.teeth),
    ...pair('mouth_upper_edge', distanceTables(skin.upperDistance, width, height, range)),
    ...pair('mouth_lower_edge', distanceTables(skin.lowerDistance, width, height, range)),
    ...pair('mouth_teeth_alpha', coverageTables(interior.teethAlpha, width, height)),
  };
}

function eyeTables(name: string, photo: Photo, eye: EyeFrame, grid: WarpGrid): IdentityTensors {
  const rect = eyeRect(eye, photo);
  const layers = cutEye(photo, eye, rect);
  const { width, height } = layers.ball;
  const range = EYE_RANGE * eye.unit;
  return {
    ...placement(name, grid, rect, eyeRect(eye, photo, 0.04)),
    ...colours(`${name}_ball`, layers.ball),
    ...colours(`${name}_lid`, layers.lid),
    ...pair(`${name}_opening`, distanceTables(layers.opening, width, height, range)),
    ...pair(`${name}_above_open`, distanceTables(layers.aboveOpen, width, height, range)),
    ...pair(`${name}_above_shut`, distanceTables(layers.aboveShut, width, height, range)),
    ...pair(`${name}_lid_mask`, coverageTables(layers.lidMask, width, height)),
    ...pair(`${name}_lash_mask`, coverageTables(layers.lashMask, width, height)),
    [`${name}_lash`]: floats(toYuv(layers.lash), [3]),
  };
}

/** Where a region's tables lie against the moving square, how big they are, and which cells are composed from them. */
function placement(name: string, grid: WarpGrid, table: Rect, region: Rect): IdentityTensors {
  const wide = (table.x1 - table.x0) * TABLE_SCALE;
  const high = (table.y1 - table.y0) * TABLE_SCALE;
  return {
    [`${name}_origin`]: vector([grid.x0 - table.x0, grid.y0 - table.y0], TABLE_SCALE),
    [`${name}_limit`]: vector([wide - 1, high - 1], 1),
    [`${name}_stride`]: floats([wide], [1]),
    ...blockOf(name, grid, region),
  };
}

function blockOf(name: string, grid: WarpGrid, region: Rect): IdentityTensors {
  const cells = coveringCells(grid, region);
  return {
    [`${name}_cells`]: integers([cells.row, cells.column]),
    [`${name}_cell_count`]: integers([cells.rows, cells.columns]),
  };
}

function colours(name: string, patch: Patch): IdentityTensors {
  const { y, u, v } = colourTables(patch);
  return { [`${name}_y`]: bytes(y), [`${name}_u`]: bytes(u), [`${name}_v`]: bytes(v) };
}

function pair(name: string, tables: { full: Uint8Array; half: Uint8Array }): IdentityTensors {
  return { [name]: bytes(tables.full), [`${name}_half`]: bytes(tables.half) };
}

function bytes(data: Uint8Array): Tensor {
  return { data, dims: [1, data.length] };
}

function floats(values: readonly number[], dims: readonly number[]): Tensor {
  return { data: Float32Array.from(values), dims };
}

function integers(values: readonly number[]): Tensor {
  return { data: BigInt64Array.from(values, BigInt), dims: [values.length] };
}

/** An x, y pair shaped to be added to coordinate planes [1, 2, h, w]. */
function vector([x, y]: readonly [number, number], scale: number): Tensor {
  return floats([x * scale, y * scale], [1, 2, 1, 1]);
}
