import { decodeAudioChunk, type PcmAudio } from '../audio/decode.js';
import type { Retaken } from './recovery.js';

/** Decoded sound as the journal has it: 32-bit floats in the order of this machine's bytes. */
export function bytesOfSound({ samples }: PcmAudio): Uint8Array {
  return new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
}

/**
 * Sound that was noted, without what was heard of it.
 * @param sampleRate Hz of headerless PCM
 * @returns undefined where none is to be taken in
 * @throws AppError `invalid_audio`
 */
export async function soundOfNoted(retaken: Retaken, sampleRate: number): Promise<PcmAudio | undefined> {
  if (retaken.bytes.length === 0) return undefined;
  const sound = await decodeNoted(retaken, sampleRate);
  const heard = Math.round(retaken.heardSeconds * sound.sampleRate);
  return { samples: sound.samples.subarray(heard), sampleRate: sound.sampleRate };
}

async function decodeNoted({ accepted, bytes }: Retaken, sampleRate: number): Promise<PcmAudio> {
  const noted = await bytes.read();
  if (accepted.kind === 'sound') {
    const samples = new Float32Array(noted.length / 4);
    new Uint8Array(samples.buffer).set(noted);
    return { samples, sampleRate: accepted.sampleRate };
  }
  return decodeAudioChunk(noted, { ...(accepted.kind === 'chunk' ? accepted : {}), sampleRate });
}
