import { type RecordedSegment, SegmentRecord } from '../../src/hls/segment-record.js';

/** Segments of the given lengths; a discontinuity, with another init segment, where the length is negative. */
function talk(lengths: readonly number[]): RecordedSegment[] {
  let firstFrame = 0;
  let inits = 1;
  return lengths.map((length, i) => {
    const frames = Math.abs(length);
    if (length < 0) inits++;
    firstFrame += frames;
    const place = { number: i + 1, firstFrame: firstFrame - frames, frames };
    return { ...place, discontinuity: length < 0, initName: `init-${inits}.mp4`, edition: undefined, startedAt: 0 };
  });
}

describe('SegmentRecord', () => {
  it.each([
    ['nothing', []],
    ['one', [25]],
    ['whole ones', [25, 25, 25]],
    ['a short end', [25, 25, 7]],
    ['encoders that took over, in the middle of a segment and between two', [25, 10, -25, 25, 25, -25, 5, -5, -25]],
  ])('gives back what was put in: %s', (_name, lengths) => {
    const record = new SegmentRecord(25);
    for (const segment of talk(lengths)) record.add(segment);
    expect([...record.segments()]).toEqual(talk(lengths));
  });
});
