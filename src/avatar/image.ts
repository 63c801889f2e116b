/** A picture: row-major sRGB, three bytes a pixel. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/**
 * A square of a picture, turned or not, possibly reaching over its edges. Lengths are pixels; (0, 0) is the picture's
 * top left corner, so the middle of its first pixel is (0.5, 0.5).
 */
export interface Square {
  /** Centre. */
  readonly x: number;
  readonly y: number;
  readonly side: number;
  /** Radians, clockwise as seen: the direction of the square's upper edge. */
  readonly angle: number;
}

/** A point of the picture for a point of the square's own picture, `size` pixels wide. */
export function fromSquare(square: Square, size: number, u: number, v: number): [x: number, y: number] {
  const scale = square.side / size;
  const dx = (u - size / 2) * scale;
  const dy = (v - size / 2) * scale;
  const cos = Math.cos(square.angle);
  const sin = Math.sin(square.angle);
  return [square.x + dx * cos - dy * sin, square.y + dx * sin + dy * cos];
}

/**
 * What a square of a picture shows, `size` pixels wide and upright.
 *
 * Bilinear; where the square is reduced, each pixel is the mean of up to 4x4 samples spread over it.
 * @param border 0..255, the grey of everything outside the picture
 */
export function sampleSquare(image: RgbImage, square: Square, size: number, border = 0): RgbImage {
  const data = new Uint8Array(size * size * 3);
  // A bilinear sample covers about two pixels; beyond sixteen of them, more cost time and show no difference.
  const samples = Math.min(4, Math.max(1, Math.ceil(square.side / size / 2)));
  const step = 1 / samples;
  const [originX, originY] = fromSquare(square, size, step / 2, step / 2);
  const unit = square.side / size;
  const dx = unit * Math.cos(square.angle);
  const dy = unit * Math.sin(square.angle);
  const weight = 1 / (samples * samples);
  const sum = new Float64Array(3);
  for (let v = 0; v < size; v++) {
    for (let u = 0; u < size; u++) {
      sum.fill(0);
      for (let j = 0; j < samples; j++) {
        for (let i = 0; i < samples; i++) {
          const right = u + i * step;
          const down = v + j * step;
          addSample(image, originX + right * dx - down * dy, originY + right * dy + down * dx, border, sum);
        }
      }
      const at = (v * size + u) * 3;
      for (let c = 0; c < 3; c++) data[at + c] = sum[c] * weight + 0.5;
    }
  }
  return { width: size, height: size, data };
}

/** Adds the bilinear sample at (x, y) to `sum`. */
function addSample({ width, height, data }: RgbImage, x: number, y: number, border: number, sum: Float64Array): void {
  const px = x - 0.5;
  const py = y - 0.5;
  if (px >= 0 && py >= 0 && px < width - 1 && py < height - 1) {
    // Not Math.floor: this is the inner loop, and looking up a global is slow in a sandbox.
    const left = px | 0;
    const top = py | 0;
    const fx = px - left;
    const fy = py - top;
    const at = (top * width + left) * 3;
    const below = at + width * 3;
    for (let c = 0; c < 3; c++) {
      const upper = data[at + c] * (1 - fx) + data[at + 3 + c] * fx;
      const lower = data[below + c] * (1 - fx) + data[below + 3 + c] * fx;
      sum[c] += upper * (1 - fy) + lower * fy;
    }
    return;
  }
  const left = Math.floor(px);
  const top = Math.floor(py);
  if (left < -1 || top < -1 || left >= width || top >= height) {
    for (let c = 0; c < 3; c++) sum[c] += border;
    return;
  }
  const fx = px - left;
  const fy = py - top;
  for (let corner = 0; corner < 4; corner++) {
    const column = left + (corner & 1);
    const row = top + (corner >> 1);
    const weight = (corner & 1 ? fx : 1 - fx) * (corner >> 1 ? fy : 1 - fy);
    const inside = column >= 0 && column < width && row >= 0 && row < height;
    const at = (row * width + column) * 3;
    for (let c = 0; c < 3; c++) sum[c] += weight * (inside ? data[at + c] : border);
  }
}

/** The picture as a tensor [3, height, width], its bytes 0..255 spread over `low`..`high`. */
export function toPlanes({ width, height, data }: RgbImage, low: number, high: number): Float32Array {
  const count = width * height;
  const planes = new Float32Array(3 * count);
  const scale = (high - low) / 255;
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < count; i++) planes[c * count + i] = low + data[i * 3 + c] * scale;
  }
  return planes;
}
