/** What must be known of a segment to list it again: parts are over by then. */
export interface RecordedSegment {
  /** From 1. */
  readonly number: number;
  readonly firstFrame: number;
  readonly frames: number;
  /** True for the first segment of an encoder that took over. */
  readonly discontinuity: boolean;
  /** Name of its init segment. */
  readonly initName: string;
}

/** Segments of equal length that follow each other; only the last may be shorter. */
interface Run {
  readonly first: RecordedSegment;
  count: number;
  frames: number;
}

/**
 * Every segment of a talk, in memory that does not grow with it: segments are equally long except before a discontinuity,
 * so a run of them is told by its first one, their number and their frames.
 */
export class SegmentRecord {
  readonly #segmentFrames: number;
  readonly #runs: Run[] = [];

  /** @param segmentFrames frames of every segment but those that were cut short */
  constructor(segmentFrames: number) {
    this.#segmentFrames = segmentFrames;
  }

  /** @param segment the one after the last that was added */
  add(segment: RecordedSegment): void {
    const run = this.#runs.at(-1);
    const follows = run && run.frames === run.count * this.#segmentFrames && !segment.discontinuity;
    if (run && follows && run.first.initName === segment.initName) {
      run.count++;
      run.frames += segment.frames;
    } else {
      this.#runs.push({ first: segment, count: 1, frames: segment.frames });
    }
  }

  /** All segments, oldest first. */
  *segments(): Generator<RecordedSegment> {
    for (const { first, count, frames } of this.#runs) {
      for (let i = 0; i < count; i++) {
        const before = i * this.#segmentFrames;
        yield {
          ...{ number: first.number + i, firstFrame: first.firstFrame + before, initName: first.initName },
          frames: Math.min(this.#segmentFrames, frames - before),
          discontinuity: first.discontinuity && i === 0,
        };
      }
    }
  }
}
