import { SOUND_TRACK, VIDEO_TRACK } from './init-segment.js';
import { FRAME_TICKS } from './time-grid.js';

/** Frames of a talk that a segment holds. */
export interface SegmentSpan {
  readonly firstFrame: number;
  readonly frames: number;
}

/**
 * @returns which frames are in a segment, read from its fragments (ISO/IEC 14496-12, 8.8)
 * @throws Error when it is not whole, or none of ours
 */
export function spanOfSegment(segment: Buffer): SegmentSpan {
  let start: number | undefined;
  let end = 0;
  let last = '';
  for (const [type, moof] of boxesOf(segment)) {
    last = type;
    if (type !== 'moof') continue;
    for (const [trafType, traf] of boxesOf(moof)) {
      if (trafType !== 'traf') continue;
      const parts = new Map(boxesOf(traf));
      // Behind version and flags: the track, the decode time, the number of samples.
      const track = parts.get('tfhd')?.readUInt32BE(4);
      if (track !== VIDEO_TRACK && track !== SOUND_TRACK) throw new Error('A fragment is of no track of ours.');
      if (track === VIDEO_TRACK) {
        const first = Number(parts.get('tfdt')!.readBigUInt64BE(4)) / FRAME_TICKS;
        start ??= first;
        end = first + parts.get('trun')!.readUInt32BE(4);
      }
    }
  }
  if (last !== 'mdat' || start === undefined) throw new Error('The segment has no media at its end.');
  return { firstFrame: start, frames: end - start };
}

/** Types and contents of the boxes that follow each other. @throws Error where one is not whole */
export function* boxesOf(bytes: Buffer): Generator<[type: string, content: Buffer]> {
  for (let at = 0; at < bytes.length; ) {
    if (at + 8 > bytes.length) throw new Error('A box is cut short.');
    const size = bytes.readUInt32BE(at);
    if (size < 8 || at + size > bytes.length) throw new Error('A box is longer than its file.');
    yield [bytes.toString('latin1', at + 4, at + 8), bytes.subarray(at + 8, at + size)];
    at += size;
  }
}
