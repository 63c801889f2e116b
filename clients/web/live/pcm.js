/** Larger files are not decoded here, bytes: decoded sound takes up to forty times the room. */
const MAX_BYTES = 20_000_000;

/**
 * Decodes a recording to 16-bit mono samples.
 * @param {Blob} recording
 * @param {number} sampleRate Hz
 * @returns {Promise<Int16Array | undefined>} undefined when this browser cannot
 */
export async function decodeToPcm(recording, sampleRate) {
  if (recording.size > MAX_BYTES) return undefined;
  try {
    const sound = await new OfflineAudioContext(1, 1, sampleRate).decodeAudioData(await recording.arrayBuffer());
    return toPcm(Array.from({ length: sound.numberOfChannels }, (_, channel) => sound.getChannelData(channel)));
  } catch {
    return undefined;
  }
}

/**
 * The channels' mean as 16-bit samples.
 * @param {readonly Float32Array[]} channels of the same length, -1 to 1
 */
export function toPcm(channels) {
  return Int16Array.from(channels[0] ?? [], (_, index) => {
    const mean = channels.reduce((sum, channel) => sum + channel[index], 0) / channels.length;
    return Math.round(Math.max(-1, Math.min(1, mean)) * 32767);
  });
}

/**
 * The bytes of samples as they go over the wire: little-endian, which every machine with a browser is.
 * @param {Int16Array} samples
 */
export function bytesOf(samples) {
  return new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
}
