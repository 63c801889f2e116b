import { AppError } from '../errors.js';

/** What one audio chunk may be. Rates in Hz. */
const MIN_SAMPLE_RATE = 8000;
const MAX_SAMPLE_RATE = 192_000;
/** Compressed silence of a few megabytes can be days long; this bounds what it unpacks to. */
const MAX_CHUNK_SECONDS = 600;
/** Ten minutes at 48 kHz: bounds the memory of one chunk (115 MB) whatever its rate. */
export const MAX_CHUNK_SAMPLES = MAX_CHUNK_SECONDS * 48_000;

export const ACCEPTED_AUDIO =
  'WAV (PCM, float, A-law, mu-law, IMA ADPCM), MP3, FLAC, Ogg, WebM, M4A or AAC, or headerless 16-bit little-endian mono PCM with type audio/L16 or a .pcm or .raw name';

/** An `invalid_audio` whose detail begins with the field it is about. `problem` completes "audio_chunk ...". */
export function invalidAudio(problem: string, cause?: unknown): AppError {
  return new AppError('invalid_audio', `audio_chunk ${problem}`, { cause });
}

/** @throws AppError `invalid_audio` for a rate outside 8000..192000 Hz. */
export function checkSampleRate(sampleRate: number): void {
  if (!Number.isInteger(sampleRate) || sampleRate < MIN_SAMPLE_RATE || sampleRate > MAX_SAMPLE_RATE) {
    throw invalidAudio(
      `has a sample rate of ${Number.isNaN(sampleRate) ? 'no number of' : sampleRate} Hz; allowed are ${MIN_SAMPLE_RATE} to ${MAX_SAMPLE_RATE} Hz.`,
    );
  }
}

/** @throws AppError `invalid_audio` for more audio than one chunk may hold. */
export function checkLength(samples: number, sampleRate: number): void {
  if (samples > MAX_CHUNK_SECONDS * sampleRate || samples > MAX_CHUNK_SAMPLES) {
    throw invalidAudio(`is too long; one chunk may hold 10 minutes (and ${MAX_CHUNK_SAMPLES} samples) at most.`);
  }
}
