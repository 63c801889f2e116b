import { type Container, sniffContainer } from './container.js';
import { decodeByFfmpeg } from './ffmpeg-decoder.js';
import { ACCEPTED_AUDIO, checkLength, checkSampleRate, invalidAudio } from './limits.js';
import type { PcmAudio } from './pcm.js';
import { decodeWavSamples, parseWav, WAVE_FORMAT, type WavContent } from './wav.js';
import { yieldToEventLoop } from './yield.js';

/** Samples looked at before the event loop turns: a few milliseconds. */
const SLICE_SAMPLES = 1 << 20;

export type { PcmAudio } from './pcm.js';

/** What the caller says of the bytes; asked only where the bytes do not say themselves. */
export interface AudioHint {
  readonly contentType?: string;
  readonly fileName?: string;
  /** Hz; the rate of headerless PCM. A container's own rate wins. */
  readonly sampleRate: number;
}

/**
 * Turns an uploaded audio chunk into samples. The container is told by its content; headerless 16-bit little-endian mono
 * PCM is accepted where the type is `audio/L16` or the name ends in `.pcm` or `.raw`. (RFC 2586 makes L16 big-endian;
 * this interface documents little-endian, as speech services send it.)
 * @returns at least one sample; several channels averaged; NaN and infinities silenced.
 * @throws AppError `invalid_audio`, or `internal` when FFmpeg cannot be started.
 */
export async function decodeAudioChunk(bytes: Buffer, hint: AudioHint): Promise<PcmAudio> {
  if (bytes.length === 0) throw invalidAudio('is empty.');
  const sniffed = sniffContainer(bytes);
  const headerless = isHeaderless(hint);
  if (sniffed && (sniffed.certain || !headerless)) return checked(await decodeContainer(bytes, sniffed.container));
  if (headerless) return checked(await decodeWav(headerlessPcm(bytes, hint)));
  throw invalidAudio(`is in no format that is accepted. Accepted are ${ACCEPTED_AUDIO}.`);
}

async function decodeContainer(bytes: Buffer, container: Container): Promise<PcmAudio> {
  if (container !== 'wav') return decodeByFfmpeg(bytes, container);
  const wav = parseWav(bytes);
  // wavefile leaves out the last block of IMA ADPCM and knows only mono.
  return wav.format.tag === WAVE_FORMAT.imaAdpcm ? decodeByFfmpeg(bytes, 'wav') : decodeWav(wav);
}

/** Rate and length are checked first: neither costs anything to tell from the header. */
async function decodeWav(wav: WavContent): Promise<PcmAudio> {
  const { sampleRate, blockAlign } = wav.format;
  checkSampleRate(sampleRate);
  if (blockAlign > 0) checkLength(Math.floor(wav.data.length / blockAlign), sampleRate);
  return { sampleRate, samples: await decodeWavSamples(wav) };
}

async function checked(audio: PcmAudio): Promise<PcmAudio> {
  checkSampleRate(audio.sampleRate);
  checkLength(audio.samples.length, audio.sampleRate);
  if (audio.samples.length === 0) throw invalidAudio('is empty: it holds no whole sample.');
  await makeFinite(audio.samples);
  return audio;
}

function isHeaderless({ contentType, fileName }: AudioHint): boolean {
  return /^\s*audio\/l16\s*(;|$)/i.test(contentType ?? '') || /\.(pcm|raw)$/i.test(fileName ?? '');
}

/** Parameters of the media type do not count: multipart parsers drop them, and `sampleRate` says it all. */
function headerlessPcm(data: Buffer, { sampleRate }: AudioHint): WavContent {
  if (data.length % 2 !== 0) throw invalidAudio('is headerless 16-bit PCM of an odd number of bytes.');
  return { format: { tag: WAVE_FORMAT.pcm, channels: 1, sampleRate, blockAlign: 2 }, data };
}

/** Silences NaN and infinities and clips to -1..1, in place: one bad sample would spoil every filter behind. */
async function makeFinite(samples: Float32Array): Promise<void> {
  for (let i = 0; i < samples.length; i++) {
    if (i % SLICE_SAMPLES === SLICE_SAMPLES - 1) await yieldToEventLoop();
    const sample = samples[i];
    if (sample >= -1 && sample <= 1) continue;
    samples[i] = Number.isFinite(sample) ? Math.sign(sample) : 0;
  }
}
