import type { Rect } from './photo.js';
import { GRID_NODES, type WarpGrid } from './warp-grid.js';

/** A block of grid cells, composed from several layers in the graph: row, column, rows, columns. */
export interface CellBlock {
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
}

/** The cells of the grid that cover a rectangle of the frame; at least one, never outside the grid. */
export function coveringCells(grid: WarpGrid, rect: Rect): CellBlock {
  const cells = GRID_NODES - 1;
  const span = (from: number, to: number, origin: number): [number, number] => {
    const first = Math.min(Math.max(Math.floor((from - origin) / grid.cell), 0), cells - 1);
    const last = Math.min(Math.max(Math.ceil((to - origin) / grid.cell), first + 1), cells);
    return [first, last - first];
  };
  const [row, rows] = span(rect.y0, rect.y1, grid.y0);
  const [column, columns] = span(rect.x0, rect.x1, grid.x0);
  return { row, column, rows, columns };
}
