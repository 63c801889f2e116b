import * as wavefileModule from 'wavefile';
import { invalidAudio } from './limits.js';
import { yieldToEventLoop } from './yield.js';

// wavefile is CommonJS: Node's ESM loader offers it as `default`, Jest's CommonJS as the namespace itself.
const { WaveFile } =
  'WaveFile' in wavefileModule ? wavefileModule : (wavefileModule as { default: WavefileModule }).default;
type WavefileModule = typeof wavefileModule;

/** WAVE format tags (RFC 2361). */
export const WAVE_FORMAT = { pcm: 1, float: 3, alaw: 6, mulaw: 7, imaAdpcm: 0x11, extensible: 0xfffe } as const;

/** How the sample bytes of a WAV are to be read. */
export interface WavFormat {
  /** WAVE format tag; the one inside for WAVE_FORMAT_EXTENSIBLE. */
  readonly tag: number;
  readonly channels: number;
  readonly sampleRate: number;
  /** Bytes of one sample of all channels; of one block for ADPCM. */
  readonly blockAlign: number;
}

export interface WavContent {
  readonly format: WavFormat;
  /** The sample bytes: a view into the file, not a copy. */
  readonly data: Buffer;
}

/** Declared sizes from here on mean "until the end": streams write 0xFFFFFFFF, SoX 0x7FFFF000 and a bit. */
const UNKNOWN_SIZE = 0x7ffff000;
const SLICE_SAMPLES = 4096;

/**
 * Finds format and samples in a RIFF or RF64 WAVE file. Only `fmt `, `ds64` and `data` are looked at, so that no count
 * in any other chunk is believed.
 * @throws AppError `invalid_audio` for a header that ends early or contradicts itself, and for a data chunk that is
 *   shorter than it says, unless its size is a streaming server's "unknown" (0, or about 2 or 4 GB).
 */
export function parseWav(file: Buffer): WavContent {
  let format: WavFormat | undefined;
  let size64: number | undefined;
  for (let at = 12; at + 8 <= file.length; ) {
    const id = file.toString('latin1', at, at + 4);
    const size = file.readUInt32LE(at + 4);
    const start = at + 8;
    if (id === 'data') {
      if (!format) throw invalidAudio('is a WAV whose samples come before their format.');
      return { format, data: sampleBytes(file, start, size64 ?? size) };
    }
    if (start + size > file.length) break;
    const chunk = file.subarray(start, start + size);
    if (id === 'fmt ') format = parseFormat(chunk);
    if (id === 'ds64' && size >= 16) size64 = Number(chunk.readBigUInt64LE(8));
    at = start + size + (size & 1); // chunks are padded to even length
  }
  throw invalidAudio('is a WAV that ends before its samples begin.');
}

function sampleBytes(file: Buffer, start: number, size: number): Buffer {
  const available = file.length - start;
  // A size of 0 in a file whose RIFF size is right is an empty recording, not a stream.
  const complete = file.readUInt32LE(4) + 8 === file.length;
  const unknown = size >= UNKNOWN_SIZE || (size === 0 && !complete);
  if (!unknown && size > available) {
    throw invalidAudio(`is a truncated WAV: its header promises ${size} bytes of samples, ${available} are there.`);
  }
  return file.subarray(start, unknown ? file.length : start + size);
}

function parseFormat(chunk: Buffer): WavFormat {
  if (chunk.length < 16) throw invalidAudio('is a WAV whose format chunk is too short.');
  const outerTag = chunk.readUInt16LE(0);
  // WAVE_FORMAT_EXTENSIBLE: the tag is the first two bytes of the sub-format's GUID.
  const tag = outerTag === WAVE_FORMAT.extensible && chunk.length >= 26 ? chunk.readUInt16LE(24) : outerTag;
  const channels = chunk.readUInt16LE(2);
  if (channels < 1 || channels > 32) throw invalidAudio(`is a WAV of ${channels} channels; allowed are 1 to 32.`);
  return { tag, channels, sampleRate: chunk.readUInt32LE(4), blockAlign: chunk.readUInt16LE(12) };
}

/**
 * Decodes uncompressed or companded samples by wavefile, in slices between which the event loop turns.
 * @returns mono, -1..1, the channels averaged; a last incomplete sample is left out.
 * @throws AppError `invalid_audio` for another coding or an impossible sample width.
 */
export async function decodeWavSamples({ format, data }: WavContent): Promise<Float32Array> {
  const { tag, channels, blockAlign } = format;
  const bytesPerSample = blockAlign / channels;
  const toFloat = converter(tag, bytesPerSample);
  const mono = new Float32Array(Math.floor(data.length / blockAlign));
  const framesPerSlice = Math.ceil(SLICE_SAMPLES / channels);
  for (let frame = 0; frame < mono.length; frame += framesPerSlice) {
    if (frame > 0) await yieldToEventLoop();
    const frames = Math.min(framesPerSlice, mono.length - frame);
    const slice = data.subarray(frame * blockAlign, (frame + frames) * blockAlign);
    const samples = unpack(slice, format, bytesPerSample);
    for (let i = 0, at = 0; i < frames; i++) {
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += toFloat(samples[at++]);
      mono[frame + i] = sum / channels;
    }
  }
  return mono;
}

/** Samples as wavefile gives them: integers of their width, floats as they are; A-law and mu-law as 16 bits. */
function unpack(
  data: Buffer,
  { tag, channels, sampleRate, blockAlign }: WavFormat,
  bytesPerSample: number,
): Float64Array {
  const file = Buffer.alloc(44 + data.length + (data.length & 1));
  file.write('RIFF', 0, 'latin1');
  file.writeUInt32LE(file.length - 8, 4);
  file.write('WAVEfmt ', 8, 'latin1');
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(tag, 20);
  file.writeUInt16LE(channels, 22);
  file.writeUInt32LE(sampleRate, 24);
  file.writeUInt32LE(sampleRate * blockAlign, 28);
  file.writeUInt16LE(blockAlign, 32);
  file.writeUInt16LE(bytesPerSample * 8, 34);
  file.write('data', 36, 'latin1');
  file.writeUInt32LE(data.length, 40);
  data.copy(file, 44);
  const wave = new WaveFile(file);
  if (tag === WAVE_FORMAT.alaw) wave.fromALaw();
  if (tag === WAVE_FORMAT.mulaw) wave.fromMuLaw();
  return wave.getSamples(true) as unknown as Float64Array;
}

/** wavefile's sample to -1..1. WAV stores 8 bits unsigned, wider integers signed. */
function converter(tag: number, bytesPerSample: number): (sample: number) => number {
  if (tag === WAVE_FORMAT.pcm) {
    if (bytesPerSample === 1) return (sample) => (sample - 128) / 128;
    if (bytesPerSample === 2 || bytesPerSample === 3 || bytesPerSample === 4) {
      const scale = 2 ** -(bytesPerSample * 8 - 1);
      return (sample) => sample * scale;
    }
  }
  if (tag === WAVE_FORMAT.float && (bytesPerSample === 4 || bytesPerSample === 8)) return (sample) => sample;
  if ((tag === WAVE_FORMAT.alaw || tag === WAVE_FORMAT.mulaw) && bytesPerSample === 1)
    return (sample) => sample / 32768;
  throw invalidAudio(
    `is a WAV of format ${tag} with ${bytesPerSample} bytes a sample; decoded are PCM of 8, 16, 24 and 32 bits, float of 32 and 64, A-law, mu-law and IMA ADPCM.`,
  );
}
