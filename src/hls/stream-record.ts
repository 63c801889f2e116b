import { readFile, stat } from 'node:fs/promises';
import type { TrackFormats } from './init-segment.js';
import { type RecordFormat, rebuildRecord } from './rebuilt-record.js';
import type { RecordedRun } from './segment-record.js';
import { spanOfSegment } from './segment-span.js';
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
  /** undefined where there is no segment yet. */
  readonly formats: TrackFormats | undefined;
  /** All init segments there are: names of those that no segment came after are not given again either. */
  readonly inits: readonly Uint8Array[];
  /** Bytes of every segment that is there, oldest first. */
  readonly sizes: readonly number[];
}

/** Writes the notes; before the segment that they are about. */
export function noteStream(store: SegmentStore, { formats, ...notes }: StreamNotes): Promise<void> {
  const { videoConfiguration, soundConfiguration, ...numbers } = formats;
  const configurations = [videoConfiguration, soundConfiguration].map((bytes) => Buffer.from(bytes).toString('base64'));
  return store.write(RECORD_NAME, [Buffer.from(JSON.stringify({ ...notes, numbers, configurations }))], {
    synced: true,
  });
}

/**
 * Finds out how far a stream has come. Notes are written when a run begins and when the stream ends; how many segments
 * the last run has is told by the newest one on disk. Where the notes are lost or do not fit the segments, these tell.
 * @param format what never changes in a stream
 * @returns undefined where there is nothing yet
 * @throws Error where segments that have to be there are not whole
 */
export async function readStream(store: SegmentStore, format: RecordFormat): Promise<ResumedStream | undefined> {
  const inits = await initsIn(store);
  const nextFrame = await endOfNewest(store);
  const [oldest, newest] = store.range;
  if (nextFrame === undefined) {
    if (inits.length === 0) return undefined;
    return { runs: [], ended: false, nextFrame: 0, formats: undefined, inits, sizes: [] };
  }
  const sizes = [];
  for (let number = oldest; number <= newest; number++) {
    sizes.push((await stat(store.path(segmentName(number)))).size);
  }
  const told = notesThatFit(await readNotes(store), { newest, nextFrame, segmentFrames: format.segmentFrames });
  const record = told ?? { ...(await rebuildRecord(store, inits, format)), ended: false };
  return { ...record, nextFrame, inits, sizes };
}

/** @returns undefined where there are none that can be read */
async function readNotes(store: SegmentStore): Promise<StreamNotes | undefined> {
  try {
    const { runs, ended, numbers, configurations } = JSON.parse(await readFile(store.path(RECORD_NAME), 'utf8'));
    const [videoConfiguration, soundConfiguration] = configurations.map((each: string) => Buffer.from(each, 'base64'));
    return { runs, ended, formats: { ...numbers, videoConfiguration, soundConfiguration } };
  } catch {
    return undefined;
  }
}

/**
 * What the notes say of the segments that are there. Pure.
 * @returns undefined where they do not fit them
 */
function notesThatFit(
  notes: StreamNotes | undefined,
  { newest, nextFrame, segmentFrames }: { newest: number; nextFrame: number; segmentFrames: number },
): StreamNotes | undefined {
  const known = notes?.runs.filter(({ first }) => first.number <= newest);
  const last = known?.at(-1);
  if (!notes || !known || !last) return undefined;
  const count = newest - last.first.number + 1;
  const frames = nextFrame - last.first.firstFrame;
  if (Math.ceil(frames / segmentFrames) !== count) return undefined;
  // Its end was noted behind its last segment; that one may have been lost all the same.
  const ended = notes.ended && known.length === notes.runs.length && frames === last.frames;
  return { runs: [...known.slice(0, -1), { ...last, count, frames }], ended, formats: notes.formats };
}

/** Init segments, from the first on. */
async function initsIn(store: SegmentStore): Promise<Buffer[]> {
  const inits: Buffer[] = [];
  for (;;) {
    const init = await readFile(store.path(initName(inits.length + 1))).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (!init) return inits;
    inits.push(init);
  }
}

/**
 * The frame after the newest segment that is whole. Segments are not synced, so a power failure may leave some that are not:
 * the store forgets these.
 * @returns undefined where there are no segments
 * @throws Error where there were some, and none is whole
 */
async function endOfNewest(store: SegmentStore): Promise<number | undefined> {
  const [oldest, newest] = store.range;
  for (let number = newest; number >= oldest; number--) {
    const segment = await readFile(store.path(segmentName(number)));
    try {
      const { firstFrame, frames } = spanOfSegment(segment);
      return firstFrame + frames;
    } catch (cause) {
      // How far a stream has come whose first segments were removed would not be known.
      if (number === oldest && oldest > 1) throw new Error('No segment of the stream is whole.', { cause });
      store.forgetNewest();
    }
  }
  return undefined;
}
