import type { Tensor } from '../../inference/onnx-model.js';
import type { Patch, Rect } from './photo.js';
import type { CellBlock } from './regions.js';
import { colourTables, TABLE_SCALE } from './tables.js';
import { floats, type IdentityTensors, integers, transposed } from './tensors.js';
import { GRID_NODES, nodeWeights, type WarpGrid } from './warp-grid.js';

/** One region that is composed from layers: the part of the photo its tables cover, and its layers' pictures. */
export interface LayeredRegion {
  readonly rect: Rect;
  /** Drawn on `rect`; the order is the graph's. */
  readonly layers: readonly Patch[];
}

/**
 * What the renderer graph's `LayerTables` wants of one or more regions composed by the same rules: where their layers'
 * tables lie against the moving square, and the layers' colours. The layers of a region stand one under the other in its
 * tables; regions have as many entries as the largest one needs.
 *
 * @param size cells that are composed, the same for all regions
 */
export function layerTables(
  name: string,
  regions: readonly LayeredRegion[],
  grid: WarpGrid,
  size: Pick<CellBlock, 'rows' | 'columns'>,
): IdentityTensors {
  const layers = regions[0]!.layers.length;
  // Half a third of a pixel is added, for places are rounded down.
  const from = (grid.cell * (GRID_NODES - 1)) / 2 + 0.5 / TABLE_SCALE;
  /** Something along x and along y for each layer of each region. */
  const along = (of: (rect: Rect, wide: number, high: number) => readonly [number, number]) =>
    floats(
      regions.flatMap(({ rect }) => {
        const [x, y] = of(rect, rect.x1 - rect.x0, rect.y1 - rect.y0);
        return [...new Array<number>(layers).fill(x), ...new Array<number>(layers).fill(y)];
      }),
      [regions.length, 2 * layers, 1, 1],
    );
  /** Where the layers' tables begin, of so many entries a pixel. */
  const starts = (entries: number) =>
    floats(
      regions.flatMap(({ rect }) =>
        Array.from({ length: layers }, (_, layer) => layer * entries * (rect.x1 - rect.x0) * (rect.y1 - rect.y0)),
      ),
      [regions.length, layers, 1, 1],
    );
  const [height, width] = [size.rows * grid.cell, size.columns * grid.cell];
  const colours = regions.map((region) => region.layers.map(colourTables));
  return {
    [`${name}_offset`]: along(({ x0, y0 }) => [grid.x0 + from - x0, grid.y0 + from - y0]),
    // Nearer to the last pixel than to what would be the next.
    [`${name}_last`]: along((_, wide, high) => [wide - 0.4, high - 0.4]),
    [`${name}_shift_steps`]: along((_, wide, high) => [wide * high, TABLE_SCALE * wide * high]),
    [`${name}_pixel_steps`]: along((_, wide) => [1, wide]),
    [`${name}_start`]: starts(TABLE_SCALE ** 2),
    [`${name}_chroma_start`]: starts(1),
    [`${name}_size`]: integers([height, width]),
    [`${name}_rows`]: floats(nodeWeights(size.rows + 1, grid.cell, { count: height }), [height, size.rows + 1]),
    [`${name}_columns`]: transposed(nodeWeights(size.columns + 1, grid.cell, { count: width }), size.columns + 1),
    [`${name}_luma`]: stackTables(colours.map((tables) => [tables.map(({ luma }) => luma)])),
    [`${name}_chroma`]: stackTables(colours.map((tables) => [0, 1].map((c) => tables.map(({ chroma }) => chroma[c]!)))),
  };
}

/** Tables by region, channel and layer -> `[regions, channels, entries]`: layers one after another, short regions filled up. */
export function stackTables(tables: ReadonlyArray<ReadonlyArray<readonly Uint8Array[]>>): Tensor {
  const channels = tables[0]!.length;
  const entries = Math.max(...tables.map(([layers]) => layers!.reduce((sum, { length }) => sum + length, 0)));
  const data = new Uint8Array(tables.length * channels * entries);
  for (const [region, byChannel] of tables.entries()) {
    for (const [channel, layers] of byChannel.entries()) {
      let at = (region * channels + channel) * entries;
      for (const layer of layers) {
        data.set(layer, at);
        at += layer.length;
      }
    }
  }
  return { data, dims: [tables.length, channels, entries] };
}
