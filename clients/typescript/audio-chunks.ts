import { FacecastError } from './facecast-error.js';

/** Bytes the service takes in one chunk. */
export const MAX_CHUNK_BYTES = 10 * 1024 * 1024;

/** A piece of a recording that stands by itself, ready to be fed. */
export interface AudioChunk {
  readonly audio: Blob;
  /** Tells the service what a chunk without a header is; empty where the header says it. */
  readonly fileName: string;
  /** Length in seconds; undefined where only a decoder could tell. */
  readonly seconds: number | undefined;
}

/** A recording, cut. */
export interface CutRecording {
  /** Length in seconds; undefined for compressed files. */
  readonly totalSeconds: number | undefined;
  readonly chunks: readonly AudioChunk[];
}

/** How a recording's samples lie in its file. */
interface SampleLayout {
  /** Byte offset and length of the samples. */
  readonly start: number;
  readonly length: number;
  /** Bytes of one sample of all channels. */
  readonly blockBytes: number;
  /** Samples per second and channel, Hz. */
  readonly sampleRate: number;
  /** Body of the WAV `fmt ` chunk; undefined for headerless PCM. */
  readonly format: Uint8Array<ArrayBuffer> | undefined;
}

/**
 * Cuts a recording into pieces that a decoder takes one by one: WAV into WAVs with a header of their own, headerless
 * 16-bit mono PCM into slices. Their samples, put together, are those of the whole. What cannot be cut without
 * decoding (MP3, Opus, FLAC, ADPCM ...) stays one piece. Nothing is copied: pieces refer to the given Blob.
 *
 * @param audio the recording
 * @param options.chunkSeconds length of every piece but the last, seconds
 * @param options.pcmSampleRate when given, `audio` is headerless 16-bit little-endian mono PCM of this rate, Hz
 * @throws FacecastError `invalid_audio` when it is empty, `audio_too_large` when a piece would exceed 10 MB
 */
export async function cutRecording(
  audio: Blob,
  { chunkSeconds, pcmSampleRate, fileName = '' }: { chunkSeconds: number; pcmSampleRate?: number; fileName?: string },
): Promise<CutRecording> {
  if (audio.size === 0) throw new FacecastError({ code: 'invalid_audio', detail: 'The recording is empty.' });
  const layout = pcmSampleRate ? headerlessLayout(audio.size, pcmSampleRate) : await wavLayout(audio);
  if (!layout || layout.length === 0) {
    checkSize(audio.size, 'Compressed recordings are sent whole');
    return { totalSeconds: undefined, chunks: [{ audio, fileName, seconds: undefined }] };
  }
  const { start, length, blockBytes, sampleRate, format } = layout;
  const bytesPerChunk = Math.max(1, Math.round(chunkSeconds * sampleRate)) * blockBytes;
  const headerBytes = format ? wavHeader(format, 0).length : 0;
  checkSize(
    headerBytes + Math.min(bytesPerChunk, length),
    `Chunks of ${chunkSeconds} s are too long for this recording`,
  );
  const chunks: AudioChunk[] = [];
  for (let at = 0; at < length; at += bytesPerChunk) {
    const bytes = Math.min(bytesPerChunk, length - at);
    const samples = audio.slice(start + at, start + at + bytes);
    chunks.push({
      audio: format
        ? new Blob([wavHeader(format, bytes), samples, new Uint8Array(bytes % 2)], { type: 'audio/wav' })
        : new Blob([samples], { type: 'audio/L16' }),
      fileName: format ? 'chunk.wav' : 'chunk.pcm',
      seconds: bytes / blockBytes / sampleRate,
    });
  }
  return { totalSeconds: length / blockBytes / sampleRate, chunks };
}

function checkSize(bytes: number, reason: string): void {
  if (bytes <= MAX_CHUNK_BYTES) return;
  const megabytes = (bytes / 1024 / 1024).toFixed(1);
  throw new FacecastError({ code: 'audio_too_large', detail: `${reason}, and ${megabytes} MB are more than 10 MB.` });
}

function headerlessLayout(size: number, sampleRate: number): SampleLayout {
  return { start: 0, length: size - (size % 2), blockBytes: 2, sampleRate, format: undefined };
}

/** `wFormatTag`s whose samples all have the same size: PCM, float, A-law, mu-law, and the extensible form of these. */
const CUTTABLE_FORMATS = new Set([1, 3, 6, 7, 0xfffe]);

/**
 * Finds the samples of a RIFF/WAVE file by walking its chunks, each an id of four letters, a length of 32 bits and that
 * many bytes, padded to an even number (Microsoft and IBM, "Multimedia Programming Interface and Data Specifications
 * 1.0", 1991). Lengths of files that were still being written (0 or FFFFFFFF) and of truncated ones mean "to the end".
 * @returns undefined when it is no such file, or not one that can be cut
 */
async function wavLayout(file: Blob): Promise<SampleLayout | undefined> {
  const bytesAt = async (offset: number, length: number) =>
    new DataView(
      await file
        .slice(offset, offset + length)
        .arrayBuffer()
        .catch(unreadable),
    );
  if (file.size < 12) return undefined;
  const riff = await bytesAt(0, 12);
  if (letters(riff, 0) !== 'RIFF' || letters(riff, 8) !== 'WAVE') return undefined;
  let format: DataView<ArrayBuffer> | undefined;
  for (let offset = 12; offset + 8 <= file.size; ) {
    const header = await bytesAt(offset, 8);
    const length = header.getUint32(4, true);
    const start = offset + 8;
    if (letters(header, 0) === 'fmt ') format = await bytesAt(start, length);
    if (letters(header, 0) === 'data') {
      if (!format || format.byteLength < 16 || !CUTTABLE_FORMATS.has(format.getUint16(0, true))) return undefined;
      const sampleRate = format.getUint32(4, true);
      const blockBytes = format.getUint16(12, true);
      if (sampleRate === 0 || blockBytes === 0) return undefined;
      const there = file.size - start;
      const bytes = length === 0 ? there : Math.min(length, there);
      return {
        start,
        length: bytes - (bytes % blockBytes),
        blockBytes,
        sampleRate,
        format: new Uint8Array(format.buffer),
      };
    }
    offset = start + length + (length % 2);
  }
  return undefined;
}

/** A file on disk may be gone or changed since it was chosen. */
function unreadable(cause: unknown): never {
  throw new FacecastError({ code: 'invalid_audio', detail: 'The recording cannot be read any more.', cause });
}

function letters(view: DataView, offset: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((index) => view.getUint8(offset + index)));
}

/** The head of a WAV file with the given format and so many bytes of samples. */
function wavHeader(format: Uint8Array, dataBytes: number): Uint8Array<ArrayBuffer> {
  const formatBytes = format.length + (format.length % 2);
  const header = new Uint8Array(12 + 8 + formatBytes + 8);
  const view = new DataView(header.buffer);
  const tag = (offset: number, id: string, length: number) => {
    header.set(
      [...id].map((letter) => letter.charCodeAt(0)),
      offset,
    );
    view.setUint32(offset + 4, length, true);
  };
  tag(0, 'RIFF', header.length - 8 + dataBytes + (dataBytes % 2));
  header.set(
    [...'WAVE'].map((letter) => letter.charCodeAt(0)),
    8,
  );
  tag(12, 'fmt ', format.length);
  header.set(format, 20);
  tag(header.length - 8, 'data', dataBytes);
  return header;
}
