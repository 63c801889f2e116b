import type { FaceFrame } from './face-frame.js';
import { clamp } from './math.js';

/** Nodes along one side of the displacement grid; the graph's shapes are built on it. */
export const GRID_NODES = 65;
const CELLS = GRID_NODES - 1;

/**
 * The square part of the frame that moves, with a displacement node every `cell` pixels. Small faces get a finer grid
 * over a smaller square (everything outside stays as it is in the photo), so that a mouth always spans enough nodes.
 */
export interface WarpGrid {
  readonly x0: number;
  readonly y0: number;
  /** Pixels between nodes: 2, 4 or 8. */
  readonly cell: number;
  /** Side of the square in pixels. */
  readonly size: number;
}

export function placeWarpGrid(face: FaceFrame, frameSize: number): WarpGrid {
  const cell = face.unit > 72 ? 8 : face.unit > 36 ? 4 : 2;
  const size = Math.min(CELLS * cell, frameSize);
  // The head reaches further up (hair) than down, counted from the eyes; a little below the eyes is its middle.
  const x = face.centre[0] + 0.25 * face.unit * face.axes[3];
  const y = face.centre[1] + 0.25 * face.unit * face.axes[4];
  const place = (at: number) => clamp(Math.round((at - size / 2) / 2) * 2, 0, frameSize - size);
  return { x0: place(x), y0: place(y), cell, size };
}

/** Calls `visit(x, y, node)` for each node with its position in picture pixels. */
export function eachNode(grid: WarpGrid, visit: (x: number, y: number, node: number) => void): void {
  for (let row = 0; row < GRID_NODES; row++) {
    for (let column = 0; column < GRID_NODES; column++) {
      visit(grid.x0 + column * grid.cell, grid.y0 + row * grid.cell, row * GRID_NODES + column);
    }
  }
}

/** Displacements in pixels times this are in the graph's grid units (the square spans -1..1). */
export function gridUnitsPerPixel(grid: WarpGrid): number {
  return 2 / (CELLS * grid.cell);
}

/**
 * Weights of grid nodes for places between them, linearly: one row of `nodes` weights for each of `count` places, the
 * first `from` pixels after the first node and the others `step` pixels apart.
 */
export function nodeWeights(
  nodes: number,
  pixelsBetween: number,
  { count, from = 0, step = 1 }: { count: number; from?: number; step?: number },
): Float32Array {
  const weights = new Float32Array(count * nodes);
  for (let i = 0; i < count; i++) {
    const at = (from + i * step) / pixelsBetween;
    const left = clamp(Math.floor(at), 0, nodes - 2);
    weights[i * nodes + left] = 1 - (at - left);
    weights[i * nodes + left + 1] = at - left;
  }
  return weights;
}
