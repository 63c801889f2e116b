import { bytesOf } from './pcm.js';

/** Length of a piece, seconds. */
const PIECE_SECONDS = 0.1;
/**
 * How far ahead of the voice the recording is sent, seconds: enough for a bad connection, and little to throw away when
 * it is interrupted. The service would take more.
 */
const AHEAD_SECONDS = 2;

/**
 * Sends a recording as a speaker would say it.
 * @param {Int16Array} samples mono
 * @param {number} sampleRate Hz
 * @param {{ send: (bytes: Uint8Array) => Promise<void>, endUtterance: () => Promise<void> }} line
 * @param {AbortSignal} signal
 * @param {() => number} [now] seconds, from any origin
 * @throws the signal's reason
 */
export async function sayRecording(samples, sampleRate, line, signal, now = () => performance.now() / 1000) {
  const begin = now();
  const piece = Math.round(sampleRate * PIECE_SECONDS);
  for (let start = 0; start < samples.length; start += piece) {
    const early = start / sampleRate - AHEAD_SECONDS - (now() - begin);
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, early * 1000));
    signal.throwIfAborted();
    await line.send(bytesOf(samples.subarray(start, start + piece)));
  }
  signal.throwIfAborted();
  await line.endUtterance();
}
