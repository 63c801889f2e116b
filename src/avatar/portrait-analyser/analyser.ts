import type { Tensor } from '../../inference/onnx-model.js';
import type { RgbImage } from '../image.js';
import { expressionFields } from './expression-fields.js';
import { type EyeFrame, fitEyeFrame } from './eye-frame.js';
import { cutEye, eyeRect } from './eyelids.js';
import { type FaceFrame, fitFaceFrame } from './face-frame.js';
import { HeadLayer } from './head-layer.js';
import { headTables } from './head-tables.js';
import { EYES, LANDMARK_COUNT } from './landmark-sets.js';
import { layerTables, stackTables } from './layer-tables.js';
import { tuckRaise, upperClosing } from './lip-closing.js';
import { findLipLines } from './lip-curve.js';
import { abs, clamp, max, min, smoothstep } from './math.js';
import { fitMouthFrame, inMouth, type MouthFrame } from './mouth-frame.js';
import { drawInterior } from './mouth-interior.js';
import { Photo } from './photo.js';
import { HeadShape, poseField, poseMotionAt } from './pose-field.js';
import { type CellBlock, coveringCells } from './regions.js';
import { SHADE_NODES, SHADES, shadeFields, shadeRegion } from './shading.js';
import { cutSkin, mouthRect, mouthRegion } from './skin-layers.js';
import { wearsSpectacles } from './spectacles.js';
import { coverageTable, distanceTable, toYuv } from './tables.js';
import { floats, type IdentityTensors, integers, transposed } from './tensors.js';
import { eachNode, GRID_NODES, gridUnitsPerPixel, nodeWeights, placeWarpGrid, type WarpGrid } from './warp-grid.js';

export type { IdentityTensors } from './tensors.js';

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
  const headParts = headTables(photo, layer, grid);
  yield;
  const blocks = [
    coveringCells(grid, mouthRegion(mouth, photo)),
    ...alike(eyes.map((eye) => coveringCells(grid, eyeRect(eye, photo, 0.04)))),
    coveringCells(grid, shadeRegion(mouth, photo)),
  ];
  const mouthParts = mouthTables(photo, face, mouth, grid, blocks[0]!);
  yield;
  const eyeParts = eyeTables(photo, eyes, grid, blocks[1]!);
  return {
    motion_ref: floats(new Array<number>(MOTION_WIDTH).fill(0), [1, MOTION_WIDTH]),
    field_expression: { data: fields, dims: [fields.length / (4 * nodes), 4 * nodes] },
    ...faceNodes(fields, face, grid),
    field_pose: { data: turning, dims: [11, 2 * nodes] },
    field_shade: { data: shading, dims: [SHADES.length, SHADE_NODES * SHADE_NODES] },
    select_lower: { data: lowerSelection(mouth, grid), dims: [1, 1, GRID_NODES, GRID_NODES] },
    window_start: integers([grid.y0, grid.x0]),
    cell_pixels: integers([grid.cell]),
    grid_pixels: floats([(grid.cell * (GRID_NODES - 1)) / 2], [1]),
    upper_closing: floats([upperClosing(mouth)], [1]),
    gaze_axes: gazeAxes(face),
    lip_edge: floats([(LIP_RANGE * face.unit) / 127 / EDGE_PIXELS], [1]),
    eye_edge: floats([(EYE_RANGE * face.unit) / 127 / EDGE_PIXELS], [1]),
    ...headParts,
    ...composedBlocks(blocks),
    block_motion: blockMotion(face, head, grid, [mouth.origin, ...eyes.map((eye) => eye.origin), mouth.origin]),
    ...mouthParts,
    ...eyeParts,
    ...shadeWeights(grid, blocks[3]!),
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

/** Pixels that gaze moves the eyeball's picture by: rows gaze_x and gaze_y, columns x and y of the eyes' two layers. */
function gazeAxes(face: FaceFrame): Tensor {
  const a = face.axes;
  const row = (x: number, y: number, by: number) => [0, x * by * face.unit, 0, y * by * face.unit];
  return floats([...row(a[0], a[1], GAZE_X), ...row(a[3], a[4], GAZE_Y)], [2, 4]);
}

/** Blocks of the same size, so that they can be composed together. */
function alike(blocks: readonly CellBlock[]): CellBlock[] {
  const rows = max(...blocks.map((block) => block.rows));
  const columns = max(...blocks.map((block) => block.columns));
  return blocks.map((block) => ({ ...block, rows, columns }));
}

/** Where the blocks lie while the head is at rest, and their sizes; rows and columns of cells. */
function composedBlocks(blocks: readonly CellBlock[]): IdentityTensors {
  const dims = [blocks.length, 2];
  return {
    block_cells: integers(
      blocks.flatMap(({ row, column }) => [row, column]),
      dims,
    ),
    block_cell_count: integers(
      blocks.flatMap(({ rows, columns }) => [rows, columns]),
      dims,
    ),
  };
}

/** How many cells each composed block follows the head, per pose coefficient: rows (y), columns (x) of each block's middle. */
function blockMotion(
  face: FaceFrame,
  head: HeadShape,
  grid: WarpGrid,
  middles: ReadonlyArray<readonly [number, number]>,
): Tensor {
  const motions = middles.map(([x, y]) => poseMotionAt(face, head, x, y));
  const rows = motions[0].map((_, k) =>
    motions.flatMap((motion) => [motion[k][1] / grid.cell, motion[k][0] / grid.cell]),
  );
  return floats(rows.flat(), [rows.length, 2 * middles.length]);
}

function mouthTables(
  photo: Photo,
  face: FaceFrame,
  mouth: MouthFrame,
  grid: WarpGrid,
  block: CellBlock,
): IdentityTensors {
  const rect = mouthRect(mouth, photo);
  const skin = cutSkin(photo, mouth, rect);
  const interior = drawInterior(photo, face, mouth, rect);
  const { width, height } = skin.upper;
  const range = LIP_RANGE * face.unit;
  const [x, y] = mouth.down.map((along) => along * face.unit);
  const layers = [skin.upper, skin.lower, interior.teeth, interior.jaw];
  return {
    ...layerTables('mouth', [{ rect, layers }], grid, block),
    mouth_edge: stackTables([
      [
        [
          distanceTable(skin.upperDistance, width, height, range),
          distanceTable(skin.lowerDistance, width, height, range),
          coverageTable(interior.teethAlpha, width, height),
        ],
      ],
    ]),
    // Only what is behind the teeth goes down with the jaw.
    mouth_jaw_axis: floats([0, 0, 0, x!, 0, 0, 0, y!], [1, 8, 1, 1]),
    mouth_jaw_rest: floats([interior.jawRest / face.unit], [1]),
    ...colours('mouth_shadow', [toYuv(interior.shadow)]),
    tuck_raise: floats([tuckRaise(mouth, interior.teethEdge)], [1]),
  };
}

function eyeTables(photo: Photo, eyes: readonly EyeFrame[], grid: WarpGrid, block: CellBlock): IdentityTensors {
  const cut = eyes.map((eye) => {
    const rect = eyeRect(eye, photo);
    return { eye, rect, layers: cutEye(photo, eye, rect) };
  });
  const regions = cut.map(({ rect, layers }) => ({ rect, layers: [layers.lid, layers.ball] }));
  return {
    ...layerTables('eye', regions, grid, block),
    eye_masks: stackTables(
      cut.map(({ eye, layers }) => {
        const { width, height } = layers.ball;
        const distance = (plane: Float32Array) => [distanceTable(plane, width, height, EYE_RANGE * eye.unit)];
        const coverage = (plane: Float32Array) => [coverageTable(plane, width, height)];
        return [
          distance(layers.opening),
          distance(layers.aboveOpen),
          distance(layers.aboveShut),
          coverage(layers.lidMask),
          coverage(layers.lashMask),
        ];
      }),
    ),
    ...colours(
      'eye_lash',
      cut.map(({ layers }) => toYuv(layers.lash)),
    ),
  };
}

/** One colour for each region. */
function colours(name: string, yuv: ReadonlyArray<readonly [number, number, number]>): IdentityTensors {
  return {
    [`${name}_luma`]: floats(
      yuv.map(([y]) => y),
      [yuv.length, 1, 1, 1],
    ),
    [`${name}_chroma`]: floats(
      yuv.flatMap(([, u, v]) => [u, v]),
      [yuv.length, 2, 1, 1],
    ),
  };
}

/** From the shading fields' samples, two to a cell, to the pixels of their block. */
function shadeWeights(grid: WarpGrid, { rows, columns }: CellBlock): IdentityTensors {
  const along = (cells: number) => nodeWeights(2 * cells + 1, grid.cell / 2, { count: cells * grid.cell });
  return {
    shade_rows: floats(along(rows), [rows * grid.cell, 2 * rows + 1]),
    shade_columns: transposed(along(columns), 2 * columns + 1),
  };
}
