import { readFile, stat } from 'node:fs/promises';
import type { TrackFormats } from './init-segment.js';
import { type RecordedRun, SegmentRecord } from './segment-record.js';
import { boxesOf, type SegmentSpan, spanOfSegment } from './segment-span.js';
import { initName, type SegmentStore, segmentName } from './segment-store.js';

/** What a stream's notes would say, as far as its segments tell. */
export interface RebuiltRecord {
  readonly runs: readonly RecordedRun[];
  readonly formats: TrackFormats;
}

/**
 * Finds out from a stream's segments what its lost notes said: all segments are read. That one encoder took over from another shows
 * where it cut a segment short, and nowhere else; that is no harm to players, as all encoders of a talk have the same settings.
 * When the frames were made is told by the files' times.
 * @param inits the init segments
 * @param format what the caller knows, for it never changes in a talk
 * @throws Error where a segment or the init segment is not ours
 */
export async function rebuildRecord(
  store: SegmentStore,
  inits: readonly Buffer[],
  { fps, segmentFrames, ...format }: RecordFormat,
): Promise<RebuiltRecord> {
  const init = inits.at(-1);
  if (!init) throw new Error('The stream has segments, but no init segment.');
  const formats = { ...format, ...configurationsOf(init) };
  const record = new SegmentRecord(segmentFrames);
  const [oldest, newest] = store.range;
  let startedAt = 0;
  let before: SegmentSpan | undefined;
  for (let number = oldest; number <= newest; number++) {
    const path = store.path(segmentName(number));
    const span = spanOfSegment(await readFile(path));
    const cutShort = before !== undefined && before.frames < segmentFrames;
    if (!before || cutShort) {
      startedAt = Math.round((await stat(path)).mtimeMs - (1000 * (span.firstFrame + span.frames)) / fps);
    }
    record.add({
      number,
      ...span,
      discontinuity: cutShort,
      initName: initName(inits.length),
      edition: undefined,
      startedAt,
    });
    before = span;
  }
  return { runs: record.runs, formats };
}

export interface RecordFormat extends Omit<TrackFormats, 'videoConfiguration' | 'soundConfiguration'> {
  readonly fps: number;
  readonly segmentFrames: number;
}

/** Where the AudioSpecificConfig begins behind the `esds` box's head, and its length one byte before: as `initSegment` writes it. */
const SOUND_CONFIGURATION_AT = 26;
/** Bytes of sample entries before the boxes in them (ISO/IEC 14496-12, 12.1.3 and 12.2.3). */
const SAMPLE_ENTRY_BYTES = { avc1: 78, mp4a: 28 };

/** @throws Error for what is no init segment of ours */
function configurationsOf(init: Buffer): Pick<TrackFormats, 'videoConfiguration' | 'soundConfiguration'> {
  const entries = new Map<string, Buffer>();
  const within = (bytes: Buffer, type: string) =>
    [...boxesOf(bytes)].flatMap(([name, box]) => (name === type ? [box] : []));
  for (const stsd of ['moov', 'trak', 'mdia', 'minf', 'stbl', 'stsd'].reduce<Buffer[]>(
    (boxes, type) => boxes.flatMap((box) => within(box, type)),
    [init],
  )) {
    // Behind version, flags and the number of entries.
    for (const [type, entry] of boxesOf(stsd.subarray(8))) entries.set(type, entry);
  }
  const inEntry = (entry: keyof typeof SAMPLE_ENTRY_BYTES, type: string) =>
    within(entries.get(entry)?.subarray(SAMPLE_ENTRY_BYTES[entry]) ?? Buffer.alloc(0), type)[0];
  const videoConfiguration = inEntry('avc1', 'avcC');
  const esds = inEntry('mp4a', 'esds');
  const length = esds?.[SOUND_CONFIGURATION_AT - 1];
  if (!videoConfiguration || !esds || !length) throw new Error('The init segment is not whole.');
  return {
    videoConfiguration,
    soundConfiguration: esds.subarray(SOUND_CONFIGURATION_AT, SOUND_CONFIGURATION_AT + length),
  };
}
