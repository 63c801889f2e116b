// I420 frames (BT.601, limited range) as pictures, and how near one is to another.

/** An I420 frame as RGB, `{width, height, data}` as the face models take it. Chroma is not smoothed. */
export function toRgb(frame, width, height) {
  const data = new Uint8Array(width * height * 3);
  // Rounds and keeps within 0..255 by itself.
  const bytes = new Uint8ClampedArray(data.buffer);
  const u = width * height;
  const v = u + u / 4;
  for (let y = 0, to = 0; y < height; y++) {
    const chromaRow = (y >> 1) * (width >> 1);
    for (let x = 0; x < width; x++, to += 3) {
      const luma = 1.164383 * (frame[y * width + x] - 16);
      const cb = frame[u + chromaRow + (x >> 1)] - 128;
      const cr = frame[v + chromaRow + (x >> 1)] - 128;
      bytes[to] = luma + 1.596027 * cr;
      bytes[to + 1] = luma - 0.391762 * cb - 0.812968 * cr;
      bytes[to + 2] = luma + 2.017232 * cb;
    }
  }
  return { width, height, data };
}

/** An RGB picture of even sides as I420, chroma the mean of each square of four pixels. */
export function toI420({ width, height, data }) {
  const frame = new Uint8ClampedArray((width * height * 3) / 2);
  const luma = width * height;
  for (let i = 0; i < luma; i++) {
    const [r, g, b] = [data[i * 3], data[i * 3 + 1], data[i * 3 + 2]];
    frame[i] = 16 + 0.256788 * r + 0.504129 * g + 0.097906 * b;
  }
  for (let y = 0, to = luma; y < height; y += 2) {
    for (let x = 0; x < width; x += 2, to++) {
      const sum = [0, 0, 0];
      for (const at of [y * width + x, y * width + x + 1, (y + 1) * width + x, (y + 1) * width + x + 1]) {
        for (let c = 0; c < 3; c++) sum[c] += data[at * 3 + c] / 4;
      }
      frame[to] = 128 - 0.148223 * sum[0] - 0.290993 * sum[1] + 0.439216 * sum[2];
      frame[to + luma / 4] = 128 + 0.439216 * sum[0] - 0.367788 * sum[1] - 0.071427 * sum[2];
    }
  }
  return new Uint8Array(frame.buffer);
}

/** Peak signal-to-noise ratio in dB over all samples of two I420 frames; Infinity where they are the same. */
export function psnr(a, b) {
  if (a.length !== b.length) throw new RangeError(`frames of ${a.length} and ${b.length} bytes cannot be compared`);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return 10 * Math.log10((255 * 255 * a.length) / sum);
}

/** Part of an RGB picture; what reaches over its edges is black. */
export function cut({ width, height, data }, left, top, cutWidth, cutHeight) {
  const part = new Uint8Array(cutWidth * cutHeight * 3);
  const from = Math.max(0, -left);
  const to = Math.min(cutWidth, width - left);
  for (let y = Math.max(0, -top); y < Math.min(cutHeight, height - top); y++) {
    const row = ((top + y) * width + left) * 3;
    if (to > from) part.set(data.subarray(row + from * 3, row + to * 3), (y * cutWidth + from) * 3);
  }
  return { width: cutWidth, height: cutHeight, data: part };
}
