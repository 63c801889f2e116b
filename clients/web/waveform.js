/** Recordings above this are not decoded just to be drawn, bytes. */
const MAX_BYTES = 60_000_000;
/** Rate that is decoded to, Hz: enough for a picture of the loudness. */
const RATE = 8000;

/**
 * Decodes a recording as far as its picture needs.
 * @param {Blob} recording
 * @returns {Promise<AudioBuffer | undefined>} undefined when this browser cannot
 */
export async function decode(recording) {
  if (recording.size > MAX_BYTES) return undefined;
  try {
    return await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await recording.arrayBuffer());
  } catch {
    return undefined;
  }
}

/**
 * Draws the loudness of a recording as bars in the canvas' text colour; a flat line when there is none.
 * @param {HTMLCanvasElement} canvas
 * @param {AudioBuffer | undefined} audio
 */
export function drawWaveform(canvas, audio) {
  const context = canvas.getContext('2d');
  if (!context) return;
  const { width, height } = canvas;
  const bars = 16;
  const pitch = width / bars;
  const loudness = audio ? loudnessOf(audio.getChannelData(0), bars) : new Array(bars).fill(0);
  const loudest = Math.max(...loudness, 1e-6);
  context.clearRect(0, 0, width, height);
  context.fillStyle = getComputedStyle(canvas).color;
  for (const [index, value] of loudness.entries()) {
    const bar = Math.max(pitch * 0.5, (value / loudest) * height * 0.72);
    context.beginPath();
    context.roundRect(index * pitch + pitch * 0.25, (height - bar) / 2, pitch * 0.5, bar, pitch * 0.25);
    context.fill();
  }
}

/**
 * Root mean square in the middle of each of so many equal parts: short enough that words and pauses differ.
 * @param {Float32Array} samples
 * @param {number} parts
 */
function loudnessOf(samples, parts) {
  const length = samples.length / parts;
  return Array.from({ length: parts }, (_, part) => {
    const middle = Math.floor((part + 0.5) * length);
    const half = Math.ceil(Math.min(length, RATE / 10) / 2);
    const slice = samples.subarray(Math.max(0, middle - half), middle + half);
    return Math.sqrt(slice.reduce((sum, value) => sum + value * value, 0) / Math.max(1, slice.length));
  });
}
