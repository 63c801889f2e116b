import { box, fullBox, text, u8, u16, u32, zeros } from './mp4-box.js';

export const VIDEO_TRACK = 1;
export const SOUND_TRACK = 2;

/** What the two tracks of a talk hold. */
export interface TrackFormats {
  /** Frame size in pixels. */
  readonly width: number;
  readonly height: number;
  /** Ticks a second of the picture's timeline. */
  readonly videoTimescale: number;
  /** Sound samples a second, which is the sound's timescale too. */
  readonly soundRate: number;
  /** AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1). */
  readonly videoConfiguration: Uint8Array;
  /** AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1). */
  readonly soundConfiguration: Uint8Array;
}

/**
 * The init segment: `ftyp` and a `moov` with an `mvex`, without any sample (ISO/IEC 14496-12; RFC
 * 8216bis, section 3, on fragmented MPEG-4: the `mvex` must be there, and no sample may).
 */
export function initSegment(formats: TrackFormats): Uint8Array {
  const { videoTimescale, soundRate } = formats;
  const moov = box(
    'moov',
    // Duration 0 here and below: it is not known, the fragments tell.
    fullBox('mvhd', 0, 0, u32(0, 0, soundRate, 0, 0x10000), u16(0x100), zeros(10), IDENTITY, zeros(24), u32(3)),
    box(
      'trak',
      trackHeader(VIDEO_TRACK, 0, formats.width, formats.height),
      media(videoTimescale, 'vide', fullBox('vmhd', 0, 1, zeros(8)), videoSampleEntry(formats)),
    ),
    box(
      'trak',
      trackHeader(SOUND_TRACK, 0x100, 0, 0),
      media(soundRate, 'soun', fullBox('smhd', 0, 0, zeros(4)), soundSampleEntry(formats)),
    ),
    box(
      'mvex',
      fullBox('trex', 0, 0, u32(VIDEO_TRACK, 1, 0, 0, 0)),
      fullBox('trex', 0, 0, u32(SOUND_TRACK, 1, 0, 0, 0)),
    ),
  );
  return Buffer.concat([box('ftyp', text('iso6'), u32(0x200), text('iso6'), text('mp41')), moov]);
}

/** The unit matrix, in 16.16 and 2.30 fixed point. */
const IDENTITY = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000);

function trackHeader(id: number, volume: number, width: number, height: number): Uint8Array {
  const enabledAndShown = 3;
  const layout = [zeros(8), u16(0, 0, volume, 0), IDENTITY, u32(width * 0x10000, height * 0x10000)];
  return fullBox('tkhd', 0, enabledAndShown, u32(0, 0, id, 0, 0), ...layout);
}

function media(timescale: number, handler: string, header: Uint8Array, sampleEntry: Uint8Array): Uint8Array {
  const undetermined = 0x55c4; // ISO 639-2 "und", five bits a letter
  const dataInThisFile = box('dinf', fullBox('dref', 0, 0, u32(1), fullBox('url ', 0, 1)));
  const noSamples = [
    fullBox('stts', 0, 0, u32(0)),
    fullBox('stsc', 0, 0, u32(0)),
    fullBox('stsz', 0, 0, u32(0, 0)),
    fullBox('stco', 0, 0, u32(0)),
  ];
  return box(
    'mdia',
    fullBox('mdhd', 0, 0, u32(0, 0, timescale, 0), u16(undetermined, 0)),
    fullBox('hdlr', 0, 0, u32(0), text(handler), zeros(12), text('Facecast\0')),
    box('minf', header, dataInThisFile, box('stbl', fullBox('stsd', 0, 0, u32(1), sampleEntry), ...noSamples)),
  );
}

function videoSampleEntry({ width, height, videoConfiguration }: TrackFormats): Uint8Array {
  const resolution = 0x480000; // 72 dots an inch, in 16.16
  const size = [u16(width, height), u32(resolution, resolution, 0), u16(1)];
  // ISO/IEC 23091-2 code points, the same that the encoder writes into the VUI: BT.709 primaries, sRGB transfer, BT.601
  // matrix.
  const colour = box('colr', text('nclx'), u16(1, 13, 6), u8(0));
  const depthAndEnd = u16(24, 0xffff);
  return box(
    'avc1',
    ...[zeros(6), u16(1), zeros(16), ...size, zeros(32), depthAndEnd],
    ...[box('avcC', videoConfiguration), colour, box('pasp', u32(1, 1))],
  );
}

function soundSampleEntry({ soundRate, soundConfiguration }: TrackFormats): Uint8Array {
  const monoOf16Bits = u16(1, 16, 0, 0);
  return box('mp4a', zeros(6), u16(1), zeros(8), monoOf16Bits, u32(soundRate * 0x10000), esds(soundConfiguration));
}

/** Elementary stream descriptor of AAC (ISO/IEC 14496-1, 7.2.6; 14496-14, 5.6). */
function esds(soundConfiguration: Uint8Array): Uint8Array {
  const aac = 0x40;
  const soundStream = 0x15;
  const unknownBuffer = zeros(3);
  const unknownBitrates = u32(0, 0);
  const decoder = [u8(aac, soundStream), unknownBuffer, unknownBitrates, descriptor(5, soundConfiguration)];
  return fullBox('esds', 0, 0, descriptor(3, u16(SOUND_TRACK), u8(0), descriptor(4, ...decoder), descriptor(6, u8(2))));
}

/** A descriptor: tag, length below 128, content. */
function descriptor(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const bytes = Buffer.concat(content);
  return Buffer.concat([u8(tag, bytes.length), bytes]);
}
