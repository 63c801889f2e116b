import type { FaceFrame } from './face-frame.js';
import { inFacePlane } from './face-frame.js';
import { abs, clamp, floor, hypot, max, min, mix, smoothstep } from './math.js';
import { findPerson, MATTE_CELL } from './person-matte.js';
import type { Photo, Rect, Rgb } from './photo.js';
import { headWeight } from './pose-field.js';
import { fillSmoothly } from './smooth-fill.js';
import type { WarpGrid } from './warp-grid.js';

/** Distances from the person's edge, in matte cells: what is filled behind, and where the layer is whole and ends. */
const FILLED = [2.2, 4] as const;
const WHOLE = 4.2;
const END = 7;
/** Below this many pixels of u a face is too small for the matte's cells; its head is then blended as a whole. */
const LEAST_UNIT = 48;
/** How deep the surroundings are mirrored into what is hidden, u. */
const MIRRORED = 0.4;
/** Pixels at the picture's edge that are not mirrored: frames and black lines are common there. */
const BORDER = 8;
/** Half the width of notches that are filled, u. */
const NOTCH = 0.2;
/** How far the layer may travel up and aside, in u. */
const REACH = 0.27;

/**
 * The head as a layer of its own over a still background. Photos whose face is too small for a matte have an opaque
 * layer that is the whole square, and fade the head's motion out in the background instead.
 */
export class HeadLayer {
  /** Whether there is a matte: the head then moves as one piece, without bending what is behind it. */
  readonly cut: boolean;
  private readonly face: FaceFrame;
  private readonly width: number;
  private readonly height: number;
  /** Distance outside the person, in cells, for each cell. */
  private readonly distance: Float32Array;
  private readonly photo: Photo;
  private readonly grid: WarpGrid;

  constructor(photo: Photo, face: FaceFrame, grid: WarpGrid) {
    this.photo = photo;
    this.face = face;
    this.grid = grid;
    this.cut = face.unit >= LEAST_UNIT;
    this.width = floor(photo.width / MATTE_CELL);
    this.height = floor(photo.height / MATTE_CELL);
    this.distance = this.cut
      ? distanceOutside(this.closed(findPerson(photo, face).share), this.width, this.height)
      : new Float32Array(this.width * this.height);
  }

  /** How much of the head's motion a place of the picture takes. */
  weight(x: number, y: number): number {
    const [u, v] = inFacePlane(this.face, x, y);
    if (!this.cut) return headWeight(u, v);
    // Hair and hat go with the head; under the chin its motion dies out toward the shoulders.
    return headWeight(u * smoothstep(0.2, 1, v), max(v, 0.2));
  }

  /** Opacity of the layer at a place of the picture at rest. */
  alpha(x: number, y: number): number {
    if (!this.cut) return 1;
    return (
      smoothstep(END, WHOLE, this.outside(x, y)) *
      smoothstep(0, 0.12, this.weight(x, y)) *
      smoothstep(0, 0.08 * this.grid.size, this.withinSquare(x, y))
    );
  }

  /** Everything the layer may cover. */
  rect(): Rect {
    const { grid } = this;
    const whole = { x0: grid.x0, y0: grid.y0, x1: grid.x0 + grid.size, y1: grid.y0 + grid.size };
    if (!this.cut) return whole;
    let [x0, y0, x1, y1] = [whole.x1, whole.y1, whole.x0, whole.y0];
    for (let y = whole.y0; y < whole.y1; y += MATTE_CELL) {
      for (let x = whole.x0; x < whole.x1; x += MATTE_CELL) {
        if (this.alpha(x, y) < 0.01) continue;
        [x0, y0, x1, y1] = [min(x0, x), min(y0, y), max(x1, x), max(y1, y)];
      }
    }
    if (x1 <= x0 || y1 <= y0) return whole;
    const reach = REACH * this.face.unit;
    return { x0: x0 - reach, y0: y0 - reach, x1: x1 + reach, y1: y1 + reach };
  }

  /** The picture behind the layer, interleaved RGB: the photo, and where the head was what its surroundings suggest. */
  background(): Float32Array {
    const { photo, width, height } = this;
    const whole = photo.patch({ x0: 0, y0: 0, x1: photo.width, y1: photo.height }).rgb;
    if (!this.cut) return whole;
    const known = new Uint8Array(width * height);
    const hidden = new Float32Array(width * height);
    const planes = [0, 1, 2].map(() => new Float32Array(width * height));
    for (let at = 0; at < known.length; at++) {
      const x0 = (at % width) * MATTE_CELL;
      const y0 = floor(at / width) * MATTE_CELL;
      hidden[at] = this.hidden(x0 + MATTE_CELL / 2, y0 + MATTE_CELL / 2);
      known[at] = hidden[at] > 0 ? 0 : 1;
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let dy = 0; dy < MATTE_CELL; dy++) {
          for (let dx = 0; dx < MATTE_CELL; dx++) sum += whole[((y0 + dy) * photo.width + x0 + dx) * 3 + c];
        }
        planes[c][at] = sum / MATTE_CELL ** 2;
      }
    }
    for (const plane of planes) fillSmoothly(plane, known, width, height);
    // How deep in the unknown, and there what is mirrored at its edge: texture goes on as far as the head soon uncovers.
    const depth = distanceOutside(Float32Array.from(known), width, height);
    const depthAt = (x: number, y: number) => between(depth, width, height, x, y);
    const reach = (MIRRORED * this.face.unit) / MATTE_CELL;
    const colour: Rgb = [0, 0, 0];
    for (let y = 0; y < photo.height; y++) {
      for (let x = 0; x < photo.width; x++) {
        const unknown = between(hidden, width, height, x, y);
        if (unknown === 0) continue;
        const at = (y * photo.width + x) * 3;
        const deep = depthAt(x, y);
        const dx = depthAt(x + MATTE_CELL, y) - depthAt(x - MATTE_CELL, y);
        const dy = depthAt(x, y + MATTE_CELL) - depthAt(x, y - MATTE_CELL);
        const step = (2 * MATTE_CELL * (deep + 0.5)) / max(hypot(dx, dy), 1e-6);
        const [mx, my] = [x - dx * step, y - dy * step];
        const [, down] = inFacePlane(this.face, x, y);
        const inside = min(mx, my, photo.width - mx, photo.height - my) > BORDER;
        // Not the shoulders: a collar mirrored beside the neck would be seen.
        const mirrored = inside && depthAt(mx, my) === 0 ? smoothstep(reach, 0, deep) * smoothstep(0.9, 0.5, down) : 0;
        if (mirrored > 0) photo.sample(mx, my, colour);
        for (let c = 0; c < 3; c++) {
          const filled = mix(between(planes[c], width, height, x, y), colour[c], mirrored);
          whole[at + c] = mix(whole[at + c], filled, unknown);
        }
      }
    }
    return whole;
  }

  /** How far the background's own colour is unknown at a place: inside the layer, with a soft rim. */
  private hidden(x: number, y: number): number {
    if (this.alpha(x, y) < 0.999) return 0;
    return smoothstep(FILLED[1], FILLED[0], this.outside(x, y)) * smoothstep(0.12, 0.3, this.weight(x, y));
  }

  /** Fills notches in the person's outline (a badge on a hat, bright hair): grown by a margin and shrunk again. */
  private closed(share: Float32Array): Float32Array {
    const margin = (NOTCH * this.face.unit) / MATTE_CELL;
    const grown = distanceOutside(share, this.width, this.height).map((distance) => (distance < margin ? 0 : 1));
    const shrunk = distanceOutside(grown, this.width, this.height);
    return share.map((value, at) => max(value, shrunk[at] >= margin ? 1 : 0));
  }

  /** Distance to the nearest edge of the moving square beyond which there is more picture, pixels. */
  private withinSquare(x: number, y: number): number {
    const { x0, y0, size } = this.grid;
    const { width, height } = this.photo;
    return min(
      x0 > 0 ? x - x0 : size,
      y0 > 0 ? y - y0 : size,
      x0 + size < width ? x0 + size - x : size,
      y0 + size < height ? y0 + size - y : size,
    );
  }

  private outside(x: number, y: number): number {
    return between(this.distance, this.width, this.height, x, y);
  }
}

/** Bilinear look-up of a plane of cells at a picture position. */
function between(plane: Float32Array, width: number, height: number, x: number, y: number): number {
  const px = clamp((x + 0.5) / MATTE_CELL - 0.5, 0, width - 1.001);
  const py = clamp((y + 0.5) / MATTE_CELL - 0.5, 0, height - 1.001);
  const [left, top] = [floor(px), floor(py)];
  const [fx, fy] = [px - left, py - top];
  const at = top * width + left;
  return mix(mix(plane[at], plane[at + 1], fx), mix(plane[at + width], plane[at + width + 1], fx), fy);
}

/** Distance of each cell to the person, 0 inside: two chamfer passes. */
function distanceOutside(share: Float32Array, width: number, height: number): Float32Array {
  const distance = share.map((value) => (value > 0.4 ? 0 : 1e3));
  const pass = (from: number, to: number, step: 1 | -1) => {
    for (let y = from; y !== to; y += step) {
      for (let i = 0; i < width; i++) {
        const x = step > 0 ? i : width - 1 - i;
        const at = y * width + x;
        for (const [dx, dy] of [
          [-1, 0],
          [0, -1],
          [-1, -1],
          [1, -1],
        ] as const) {
          const [nx, ny] = [x + dx * step, y + dy * step];
          if (nx < 0 || ny < 0 || nx >= width || ny >= height) continue;
          distance[at] = min(distance[at], distance[ny * width + nx] + (abs(dx) + abs(dy) > 1 ? Math.SQRT2 : 1));
        }
      }
    }
  };
  pass(0, height, 1);
  pass(height - 1, -1, -1);
  return distance;
}
