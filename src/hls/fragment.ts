import { SOUND_TRACK, VIDEO_TRACK } from './init-segment.js';
import { box, fullBox, u32, u64 } from './mp4-box.js';

/** One encoded frame. */
export interface VideoSample {
  readonly keyFrame: boolean;
  readonly data: Uint8Array;
}

/** A run of samples of one track that follow each other without a gap. */
export interface Run<Sample> {
  /** Decode time of the first sample, in the track's timescale. */
  readonly start: number;
  /** Ticks each sample lasts. */
  readonly duration: number;
  readonly samples: readonly Sample[];
}

// Sample flags (ISO/IEC 14496-12, 8.8.3.1): depends on no other; depends on others and is not a sync sample.
const SYNC_SAMPLE = 0x2000000;
const DEPENDENT_SAMPLE = 0x1010000;

// Flags of tfhd and trun that say which fields are there.
const DEFAULT_DURATION = 0x8;
const DEFAULT_FLAGS = 0x20;
const DEFAULT_BASE_IS_MOOF = 0x20000;
const DATA_OFFSET = 0x1;
const SAMPLE_SIZE = 0x200;
const SAMPLE_FLAGS = 0x400;

/**
 * One fragment: `moof` and `mdat`, the picture's bytes before the sound's. A track without samples is left out.
 *
 * @param sequence counts the fragments of a talk from 1.
 */
export function fragment(sequence: number, video: Run<VideoSample>, sound: Run<Uint8Array>): Uint8Array {
  const videoBytes = video.samples.reduce((sum, { data }) => sum + data.byteLength, 0);
  const moofWith = (videoOffset: number): Uint8Array =>
    box(
      'moof',
      fullBox('mfhd', 0, 0, u32(sequence)),
      ...(video.samples.length > 0 ? [videoTrack(video, videoOffset)] : []),
      ...(sound.samples.length > 0 ? [soundTrack(sound, videoOffset + videoBytes)] : []),
    );
  // Data offsets count from the start of the moof, so its own size must be known first.
  const mdatHeaderBytes = 8;
  const moof = moofWith(moofWith(0).byteLength + mdatHeaderBytes);
  return Buffer.concat([moof, box('mdat', ...video.samples.map(({ data }) => data), ...sound.samples)]);
}

function videoTrack({ start, duration, samples }: Run<VideoSample>, offset: number): Uint8Array {
  const rows = samples.flatMap(({ data, keyFrame }) => [data.byteLength, keyFrame ? SYNC_SAMPLE : DEPENDENT_SAMPLE]);
  return box(
    'traf',
    fullBox('tfhd', 0, DEFAULT_BASE_IS_MOOF | DEFAULT_DURATION, u32(VIDEO_TRACK, duration)),
    decodeTime(start),
    fullBox('trun', 0, DATA_OFFSET | SAMPLE_SIZE | SAMPLE_FLAGS, u32(samples.length, offset, ...rows)),
  );
}

function soundTrack({ start, duration, samples }: Run<Uint8Array>, offset: number): Uint8Array {
  const sizes = samples.map((data) => data.byteLength);
  const flags = DEFAULT_BASE_IS_MOOF | DEFAULT_DURATION | DEFAULT_FLAGS;
  return box(
    'traf',
    fullBox('tfhd', 0, flags, u32(SOUND_TRACK, duration, SYNC_SAMPLE)),
    decodeTime(start),
    fullBox('trun', 0, DATA_OFFSET | SAMPLE_SIZE, u32(samples.length, offset, ...sizes)),
  );
}

/** `tfdt` with 64 bits: 32 would overflow after four days of 12800 ticks a second. */
function decodeTime(start: number): Uint8Array {
  return fullBox('tfdt', 1, 0, u64(start));
}
