import { type Container, sniffContainer } from './container.js';
import { decodeByFfmpeg } from './ffmpeg-decoder.js';
import { ACCEPTED_AUDIO, checkLength, checkSampleRate, invalidAudio } from './limits.js';
import type { PcmAudio } from './pcm.js';
import { decodeWavSamples, parseWav, WAVE_FORMAT, type WavContent } from './wav.js';

export type { PcmAudio } from './pcm.js';

/** What the caller says of the bytes; asked only where the bytes do not say themselves. */
export interface AudioHint {
  readonly contentType?: string;
  readonly fileName?: string;
  /** Hz; the rate of headerless PCM. A container's own rate, and `audio/L16;rate=`, win. */
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

function checked(audio: PcmAudio): PcmAudio {
  checkSampleRate(audio.sampleRate);
  checkLength(audio.samples.length, audio.sampleRate);
  if (audio.samples.length === 0) throw invalidAudio('is empty: it holds no whole sample.');
  makeFinite(audio.samples);
  return audio;
}

function isHeaderless({ contentType, fileName }: AudioHint): boolean {
  return /^\s*audio\/l16\s*(;|$)/i.test(contentType ?? '') || /\.(pcm|raw)$/i.test(fileName ?? '');
}

function headerlessPcm(data: Buffer, { contentType, sampleRate }: AudioHint): WavContent {
  if (data.length % 2 !== 0) throw invalidAudio('is headerless 16-bit PCM of an odd number of bytes.');
  const channels = mediaTypeNumber(contentType, 'channels') ?? 1;
  if (channels !== 1)
    throw invalidAudio(`is headerless PCM of ${channels} channels; only mono is accepted without a header.`);
  const rate = mediaTypeNumber(contentType, 'rate') ?? sampleRate;
  return { format: { tag: WAVE_FORMAT.pcm, channels: 1, sampleRate: rate, blockAlign: 2 }, data };
}

/** A numeric parameter of a media type such as `audio/L16; rate=16000`; NaN where it is no number. */
function mediaTypeNumber(contentType: string | undefined, name: string): number | undefined {
  const value = new RegExp(`;\\s*${name}\\s*=\\s*"?([^";]*)`, 'i').exec(contentType ?? '')?.[1];
  return value === undefined ? undefined : /^\d+\s*$/.test(value) ? Number(value) : Number.NaN;
}

/** Silences NaN and infinities and clips to -1..1, in place: one bad sample would spoil every filter behind. */
function makeFinite(samples: Float32Array): void {
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i];
    if (sample >= -1 && sample <= 1) continue;
    samples[i] = Number.isFinite(sample) ? Math.sign(sample) : 0;
  }
}
