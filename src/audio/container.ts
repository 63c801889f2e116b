/** The containers that are decoded, each told by its first bytes. */
export type Container = 'wav' | 'mp3' | 'aac' | 'flac' | 'ogg' | 'matroska' | 'mov';

export interface SniffedContainer {
  readonly container: Container;
  /**
   * False where the signature is only two or three bytes, so that headerless PCM may begin with it by chance. A caller
   * who says that the bytes are headerless is then believed.
   */
  readonly certain: boolean;
}

/**
 * Tells a container by its content; names and content types are not asked.
 * @returns undefined for everything else: playlists, scripts, pictures, text, headerless PCM.
 */
export function sniffContainer(bytes: Buffer): SniffedContainer | undefined {
  const riff = hasText(bytes, 0, 'RIFF') || hasText(bytes, 0, 'RF64');
  if (riff && hasText(bytes, 8, 'WAVE')) return { container: 'wav', certain: true };
  if (hasText(bytes, 0, 'fLaC')) return { container: 'flac', certain: true };
  if (hasText(bytes, 0, 'OggS')) return { container: 'ogg', certain: true };
  if (hasText(bytes, 0, '\x1a\x45\xdf\xa3')) return { container: 'matroska', certain: true };
  if (hasText(bytes, 4, 'ftyp')) return { container: 'mov', certain: true };

  const start = id3v2Length(bytes);
  const container = mpegAudioFrameAt(bytes, start) ?? (start > 0 ? 'mp3' : undefined);
  return container && { container, certain: false };
}

function hasText(bytes: Buffer, offset: number, text: string): boolean {
  return bytes.length >= offset + text.length && bytes.toString('latin1', offset, offset + text.length) === text;
}

/** Length of a leading ID3v2 tag (id3.org, ID3v2.4 structure, section 3.1), 0 without one. */
function id3v2Length(bytes: Buffer): number {
  if (bytes.length < 10 || !hasText(bytes, 0, 'ID3')) return 0;
  const footer = bytes[5] & 0x10 ? 10 : 0;
  return (
    10 + ((bytes[6] & 0x7f) << 21) + ((bytes[7] & 0x7f) << 14) + ((bytes[8] & 0x7f) << 7) + (bytes[9] & 0x7f) + footer
  );
}

/** MPEG audio (ISO/IEC 11172-3, 2.4.1.3) and ADTS (ISO/IEC 13818-7, 6.2) share the sync word; the layer bits tell. */
function mpegAudioFrameAt(bytes: Buffer, offset: number): 'mp3' | 'aac' | undefined {
  if (bytes.length < offset + 4 || bytes[offset] !== 0xff || (bytes[offset + 1] & 0xe0) !== 0xe0) return undefined;
  const version = (bytes[offset + 1] >> 3) & 3;
  const layer = (bytes[offset + 1] >> 1) & 3;
  if (layer === 0) {
    const rateIndex = (bytes[offset + 2] >> 2) & 15;
    return (bytes[offset + 1] & 0xf0) === 0xf0 && rateIndex < 13 ? 'aac' : undefined;
  }
  const bitrateIndex = bytes[offset + 2] >> 4;
  const rateIndex = (bytes[offset + 2] >> 2) & 3;
  return version !== 1 && bitrateIndex !== 15 && rateIndex !== 3 ? 'mp3' : undefined;
}
