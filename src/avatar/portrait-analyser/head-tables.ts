import type { HeadLayer } from './head-layer.js';
import type { Photo } from './photo.js';
import { coveringCells } from './regions.js';
import { type Colours, colourTables, framePlanes, TABLE_SCALE } from './tables.js';
import { floats, type IdentityTensors, integers, transposed } from './tensors.js';
import { eachNode, GRID_NODES, nodeWeights, type WarpGrid } from './warp-grid.js';

/**
 * What the renderer graph wants for the head: the photo as tables, the still picture behind it, how opaque the head's layer
 * is, and the block of cells it may cover.
 */
export function headTables(photo: Photo, layer: HeadLayer, grid: WarpGrid): IdentityTensors {
  const whole = photo.patch({ x0: 0, y0: 0, x1: photo.width, y1: photo.height });
  const { luma, chroma } = colourTables(whole);
  const behind = photo.patch(whole.rect);
  behind.rgb.set(layer.background());
  const still = framePlanes(behind);
  const { width, height } = photo;
  return {
    base_luma: { data: luma, dims: [1, luma.length] },
    base_chroma: { data: joined(chroma), dims: [2, width * height] },
    still_luma: { data: still.luma, dims: [1, 1, height, width] },
    still_chroma: { data: joined(still.chroma), dims: [1, 2, height / 2, width / 2] },
    field_alpha: { data: alphaField(layer, grid), dims: [1, 1, GRID_NODES, GRID_NODES] },
    ...block(photo, layer, grid, still),
  };
}

function joined([u, v]: Colours['chroma']): Uint8Array {
  const planes = new Uint8Array(2 * u.length);
  planes.set(u);
  planes.set(v, u.length);
  return planes;
}

/** Opacity of the head's layer at the nodes. */
function alphaField(layer: HeadLayer, grid: WarpGrid): Float32Array {
  const field = new Float32Array(GRID_NODES * GRID_NODES);
  eachNode(grid, (x, y, node) => {
    field[node] = layer.alpha(x, y);
  });
  return field;
}

/** The block the head may cover, and the picture behind it in the order in which the graph draws: see head.py. */
function block(photo: Photo, layer: HeadLayer, grid: WarpGrid, still: Colours): IdentityTensors {
  const cells = coveringCells(grid, layer.rect());
  const [left, top] = [grid.x0 + cells.column * grid.cell, grid.y0 + cells.row * grid.cell];
  const [wide, high] = [(cells.columns * grid.cell) / 2, (cells.rows * grid.cell) / 2];
  const luma = new Uint8Array(4 * wide * high);
  const chroma = new Uint8Array(2 * wide * high);
  for (let row = 0; row < 2 * high; row++) {
    const at = (top + row) * photo.width + left;
    // Left and right pixels apart.
    for (let column = 0; column < 2 * wide; column++) {
      luma[((column % 2) * 2 * high + row) * wide + (column >> 1)] = still.luma[at + column]!;
    }
  }
  for (const [i, plane] of still.chroma.entries()) {
    for (let row = 0; row < high; row++) {
      const at = ((top / 2 + row) * photo.width + left) / 2;
      chroma.set(plane.subarray(at, at + wide), (i * high + row) * wide);
    }
  }
  const inCell = grid.cell / 2;
  // A block of two by two pixels is looked up by its middle, and begins half a pixel before. Places are rounded down, to
  // thirds of a pixel.
  const from = (grid.cell * (GRID_NODES - 1)) / 2 - 0.5 + 0.5 / TABLE_SCALE;
  const bounds = [top, top + 2 * high, left, left + 2 * wide];
  return {
    head_first_node: integers([cells.row, cells.column]),
    head_past_node: integers([cells.row + cells.rows + 1, cells.column + cells.columns + 1]),
    head_offset: floats([grid.x0 + from, grid.y0 + from], [1, 2, 1, 1]),
    head_columns: transposed(
      nodeWeights(cells.columns + 1, grid.cell, { count: wide, from: 0.5, step: 2 }),
      cells.columns + 1,
    ),
    head_steps: floats(
      Array.from({ length: inCell }, (_, k) => (2 * k + 0.5) / grid.cell),
      [inCell, 1],
    ),
    head_bounds: integers(bounds),
    head_half_bounds: integers(bounds.map((at) => at / 2)),
    head_shape: integers([1, 1, 2 * high, 2 * wide]),
    head_half_shape: integers([1, 2, high, wide]),
    behind_luma: { data: luma, dims: [2, 1, cells.rows, inCell, 2, wide] },
    behind_chroma: { data: chroma, dims: [2, high * wide] },
  };
}
