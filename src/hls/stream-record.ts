import { readFile, stat } from 'node:fs/promises';
import { SOUND_TRACK, type TrackFormats, VIDEO_TRACK } from './init-segment.js';
import type { RecordedRun } from './segment-record.js';
import { initName, type SegmentStore, segmentName } from './segment-store.js';

const RECORD_NAME = 'stream.json';

/** What a stream notes of itself on disk, to go on after the service was started anew. */
interface StreamNotes {
  readonly runs: readonly RecordedRun[];
  readonly ended: boolean;
  readonly formats: TrackFormats;
}

/** What there is of a stream that comes back. */
export interface ResumedStream {
  /** All segments that were ever made, as runs; those of a live stream that was not recorded are partly gone. */
  readonly runs: readonly RecordedRun[];
  /** True when its playlist has its end. */
  readonly ended: boolean;
  /** The frame after its last segment. */
  readonly nextFrame: number;
  readonly formats: TrackFormats;
  readonly inits: readonly Uint8Array[];
  /** Bytes of every segment that is there, oldest first. */
  readonly sizes: readonly number[];
}

/** Writes the notes; before the segment that they are about. */
export function noteStream(store: SegmentStore, { formats, ...notes }: StreamNotes): Promise<void> {
  const { videoConfiguration, soundConfiguration, ...numbers } = formats;
  const configurations = [videoConfiguration, soundConfiguration].map((bytes) => Buffer.from(bytes).toString('base64'));
  return store.write(RECORD_NAME, [Buffer.from(JSON.stringify({ ...notes, numbers, configurations }))]);
}

/**
 * Finds out how far a stream has come. Notes are written when a run begins and when the stream ends; how many segments
 * the last run has is told by the newest one on disk.
 * @returns undefined where there are no segments yet
 */
export async function readStream(store: SegmentStore): Promise<ResumedStream | undefined> {
  const text = await readFile(store.path(RECORD_NAME), 'utf8').catch(() => undefined);
  const nextFrame = await endOfNewest(store);
  const [oldest, newest] = store.range;
  if (text === undefined || nextFrame === undefined) return undefined;
  const { runs, ended, numbers, configurations } = JSON.parse(text);
  const [videoConfiguration, soundConfiguration] = configurations.map((each: string) => Buffer.from(each, 'base64'));
  const known = (runs as RecordedRun[]).filter(({ first }) => first.number <= newest);
  const last = known.at(-1);
  if (!last) return undefined;
  const inits = [];
  for (let i = 1; initName(i - 1) !== last.first.initName; i++) inits.push(await readFile(store.path(initName(i))));
  const sizes = [];
  for (let number = oldest; number <= newest; number++) {
    sizes.push((await stat(store.path(segmentName(number)))).size);
  }
  const count = newest - last.first.number + 1;
  const whole = { ...last, count, frames: nextFrame - last.first.firstFrame };
  return {
    ...{ runs: [...known.slice(0, -1), whole], nextFrame },
    // Its end was noted behind its last segment; that one may have been lost all the same.
    ended: ended && known.length === runs.length && whole.frames === last.frames,
    ...{ formats: { ...numbers, videoConfiguration, soundConfiguration }, inits, sizes },
  };
}

/**
 * The frame after the newest segment that is whole. Segments are not synced, so a power failure may leave some that are not:
 * the store forgets these.
 * @returns undefined where there are no segments
 * @throws Error where none is whole
 */
async function endOfNewest(store: SegmentStore): Promise<number | undefined> {
  const [oldest, newest] = store.range;
  for (let number = newest; number >= oldest; number--) {
    const segment = await readFile(store.path(segmentName(number)));
    try {
      return endOfSegment(segment);
    } catch (cause) {
      if (number === oldest) throw new Error('No segment of the stream is whole.', { cause });
      store.forgetNewest();
    }
  }
  return undefined;
}

/** Ticks of the picture's clock in one frame; see the packager. */
const FRAME_TICKS = 512;

/**
 * @returns the frame after the last one in a segment, read from its fragments (ISO/IEC 14496-12, 8.8)
 * @throws Error when it is not whole, or none of ours
 */
export function endOfSegment(segment: Buffer): number {
  let end = 0;
  let last = '';
  for (const [type, moof] of boxes(segment)) {
    last = type;
    if (type !== 'moof') continue;
    for (const [trafType, traf] of boxes(moof)) {
      if (trafType !== 'traf') continue;
      const parts = new Map(boxes(traf));
      // Behind version and flags: the track, the decode time, the number of samples.
      const track = parts.get('tfhd')?.readUInt32BE(4);
      if (track !== VIDEO_TRACK && track !== SOUND_TRACK) throw new Error('A fragment is of no track of ours.');
      if (track === VIDEO_TRACK) {
        const start = Number(parts.get('tfdt')!.readBigUInt64BE(4)) / FRAME_TICKS;
        end = start + parts.get('trun')!.readUInt32BE(4);
      }
    }
  }
  if (last !== 'mdat') throw new Error('The segment has no media at its end.');
  return end;
}

/** Types and contents of the boxes that follow each other. */
function* boxes(bytes: Buffer): Generator<[type: string, content: Buffer]> {
  for (let at = 0; at < bytes.length; ) {
    if (at + 8 > bytes.length) throw new Error('A box is cut short.');
    const size = bytes.readUInt32BE(at);
    if (size < 8 || at + size > bytes.length) throw new Error('A box is longer than its file.');
    yield [bytes.toString('latin1', at + 4, at + 8), bytes.subarray(at + 8, at + size)];
    at += size;
  }
}
