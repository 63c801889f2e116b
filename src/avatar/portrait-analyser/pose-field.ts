import { canonical, type FaceFrame, point2, toCanonical } from './face-frame.js';
import { FACE_OVAL, LANDMARK_COUNT } from './landmark-sets.js';
import { clamp, hypot, min, smoothstep } from './math.js';
import { ThinPlateSpline } from './thin-plate-spline.js';
import { eachNode, GRID_NODES, gridUnitsPerPixel, type WarpGrid } from './warp-grid.js';

/** Nine products of a rotation-minus-identity entry with a coordinate, then the two shifts. */
const POSE_COEFFICIENTS = 11;

/** Depth gained per length along the picture, at most. */
const STEEPEST = 1.7;

/** The head's shape: canonical coordinates (u) of what each grid node shows. */
export class HeadShape {
  readonly nodes: Float64Array;
  private readonly depth: ThinPlateSpline;
  private readonly face: FaceFrame;

  constructor(face: FaceFrame, grid: WarpGrid) {
    this.face = face;
    this.depth = depthSurface(face);
    const depths = new Float64Array(GRID_NODES * GRID_NODES);
    eachNode(grid, (x, y, node) => {
      depths[node] = this.depthAt(x, y);
    });
    limitSlope(depths, (STEEPEST * grid.cell) / face.unit);
    this.nodes = new Float64Array(GRID_NODES * GRID_NODES * 3);
    eachNode(grid, (x, y, node) => this.nodes.set(this.toHead(x, y, depths[node]), node * 3));
  }

  /** Canonical coordinates of a picture position. */
  at(x: number, y: number): [number, number, number] {
    return this.toHead(x, y, this.depthAt(x, y));
  }

  /** How far behind the middle between the eyes a place of the picture lies, u. */
  private depthAt(x: number, y: number): number {
    const { centre, unit } = this.face;
    const dx = (x - centre[0]) / unit;
    const dy = (y - centre[1]) / unit;
    // Far from the face the spline's linear part would run away; the head is nowhere deeper than its ears by much.
    return clamp(this.depth.at(clamp(dx, -2, 2), clamp(dy, -2.5, 2.5)), -1, 1.6);
  }

  private toHead(x: number, y: number, depth: number): [number, number, number] {
    const { centre, unit } = this.face;
    return toCanonical(this.face, (x - centre[0]) / unit, (y - centre[1]) / unit, depth);
  }
}

/**
 * Bounds how much deeper a node may lie than its neighbours. Where a cheek turns away the surface falls off so steeply
 * that a turn of the head would fold the picture over itself, which shows as a jagged edge.
 */
function limitSlope(depths: Float64Array, most: number): void {
  const relax = (node: number, neighbour: number, step: number) => {
    depths[node] = min(depths[node], depths[neighbour] + step);
  };
  const last = GRID_NODES - 1;
  for (const step of [1, -1] as const) {
    for (let i = 0; i <= last; i++) {
      for (let j = 0; j <= last; j++) {
        const [row, column] = step > 0 ? [i, j] : [last - i, last - j];
        const node = row * GRID_NODES + column;
        const [above, beside] = [row - step, column - step];
        const up = above >= 0 && above <= last;
        if (up) relax(node, above * GRID_NODES + column, most);
        if (beside >= 0 && beside <= last) {
          relax(node, row * GRID_NODES + beside, most);
          if (up) relax(node, above * GRID_NODES + beside, most * Math.SQRT2);
        }
        const across = column + step;
        if (up && across >= 0 && across <= last) relax(node, above * GRID_NODES + across, most * Math.SQRT2);
      }
    }
  }
}

function depthSurface(face: FaceFrame): ThinPlateSpline {
  const xs: number[] = [];
  const ys: number[] = [];
  const zs: number[] = [];
  const { points, centre, unit } = face;
  const add = (x: number, y: number, z: number) => {
    xs.push((x - centre[0]) / unit);
    ys.push((y - centre[1]) / unit);
    zs.push(z);
  };
  const zOf = (i: number) => (points[i * 3 + 2] - centre[2]) / unit;
  const chosen = new Set<number>(FACE_OVAL);
  for (let i = 0; i < LANDMARK_COUNT; i += 4) chosen.add(i);
  for (const i of chosen) add(...point2(face, i), zOf(i));
  // Two rings outside the oval curve the surface on around the skull.
  const mean = (f: (i: number) => number) => FACE_OVAL.reduce((sum, i) => sum + f(i), 0) / FACE_OVAL.length;
  const middle = [mean((i) => point2(face, i)[0]), mean((i) => point2(face, i)[1])];
  const rim = mean(zOf);
  for (const [scale, behind] of [
    [1.3, 0.12],
    [1.8, 0.3],
  ]) {
    for (const i of FACE_OVAL) {
      const [x, y] = point2(face, i);
      add(middle[0] + (x - middle[0]) * scale, middle[1] + (y - middle[1]) * scale, rim + behind);
    }
  }
  return new ThinPlateSpline(xs, ys, zs, 1e-2);
}

/**
 * How the picture moves per unit of each pose coefficient, in grid units: tensor [11, 2, nodes, nodes].
 * Coefficient 3*i + j multiplies coordinate j (about the neck) along head axis i; 9 and 10 are the shifts in u.
 * `weightAt` says how much of the head's motion a place of the picture takes.
 */
export function poseField(
  face: FaceFrame,
  head: HeadShape,
  grid: WarpGrid,
  frameHeight: number,
  weightAt: (x: number, y: number) => number,
): Float32Array {
  const nodes = GRID_NODES * GRID_NODES;
  const field = new Float32Array(POSE_COEFFICIENTS * 2 * nodes);
  const scale = face.unit * gridUnitsPerPixel(grid);
  const pivot = neckPivot(face);
  eachNode(grid, (x, y, node) => {
    const q = head.nodes.subarray(node * 3, node * 3 + 3);
    const weight = weightAt(x, y) * edgeWeight(grid, x, y, frameHeight) * scale;
    if (weight === 0) return;
    const arm = [q[0] - pivot[0], q[1] - pivot[1], clamp(q[2] - pivot[2], -1, 0.2)];
    for (let axis = 0; axis < 3; axis++) {
      for (let along = 0; along < 2; along++) {
        const direction = face.axes[axis * 3 + along] * weight;
        for (let j = 0; j < 3; j++) field[((axis * 3 + j) * 2 + along) * nodes + node] = arm[j] * direction;
        if (axis < 2) field[((9 + axis) * 2 + along) * nodes + node] = direction;
      }
    }
  });
  return field;
}

/** Displacement in pixels per pose coefficient at one picture position: [11][x, y]. */
export function poseMotionAt(face: FaceFrame, head: HeadShape, x: number, y: number): number[][] {
  const q = head.at(x, y);
  const pivot = neckPivot(face);
  const arm = q.map((v, k) => v - pivot[k]);
  const rows: number[][] = [];
  const along = (axis: number, factor: number) => [0, 1].map((k) => face.axes[axis * 3 + k] * factor * face.unit);
  for (let axis = 0; axis < 3; axis++) for (let j = 0; j < 3; j++) rows.push(along(axis, arm[j]));
  rows.push(along(0, 1), along(1, 1));
  return rows;
}

/** Where the head turns: under the mouth's height, behind the face's rim. */
function neckPivot(face: FaceFrame): [number, number, number] {
  const rim = FACE_OVAL.reduce((sum, i) => sum + canonical(face, i)[2], 0) / FACE_OVAL.length;
  return [0, 0.55, rim + 0.15];
}

/** 1 on the head, 0 from 1.95 times its ellipse on; the face's coordinates in u. */
export function headWeight(x: number, y: number): number {
  const dy = y - 0.2;
  const distance = hypot(x / 0.8, dy / (dy < 0 ? 1.28 : 1));
  return 1 - smoothstep(1, 1.95, distance);
}

/** Zero at the square's edges, so nothing is pulled in from outside; the frame's lower edge may move (shoulders). */
function edgeWeight(grid: WarpGrid, x: number, y: number, frameHeight: number): number {
  const margin = 0.1 * grid.size;
  const below = grid.y0 + grid.size >= frameHeight ? margin : grid.y0 + grid.size - y;
  const nearest = min(x - grid.x0, grid.x0 + grid.size - x, y - grid.y0, below);
  return smoothstep(0, margin, nearest);
}
