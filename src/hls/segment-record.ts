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
  /** What all URIs of its run end in, if anything. */
  readonly edition: string | undefined;
  /** When frame 0 would have been made by its clock, milliseconds since 1970. */
  readonly startedAt: number;
}

/** Segments of equal length that follow each other; only the last may be shorter. */
export interface RecordedRun {
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
  readonly #runs: RecordedRun[];

  /**
   * @param segmentFrames frames of every segment but those that were cut short
   * @param runs what was recorded before
   */
  constructor(segmentFrames: number, runs: readonly RecordedRun[] = []) {
    this.#segmentFrames = segmentFrames;
    this.#runs = runs.map((run) => ({ ...run }));
  }

  get runs(): readonly Readonly<RecordedRun>[] {
    return this.#runs;
  }

  /**
   * @param segment the one after the last that was added
   * @returns whether a run begins with it
   */
  add(segment: RecordedSegment): boolean {
    const run = this.#runs.at(-1);
    const follows = run && run.frames === run.count * this.#segmentFrames && !segment.discontinuity;
    if (run && follows && run.first.initName === segment.initName) {
      run.count++;
      run.frames += segment.frames;
      return false;
    }
    this.#runs.push({ first: segment, count: 1, frames: segment.frames });
    return true;
  }

  /** What the URI of a segment ends in; of one that is not there yet, that of the newest. */
  editionOf(number: number): string | undefined {
    return this.#runs.findLast(({ first }) => first.number <= number)?.first.edition;
  }

  /** All segments, oldest first. */
  *segments(): Generator<RecordedSegment> {
    for (const { first, count, frames } of this.#runs) {
      for (let i = 0; i < count; i++) {
        const before = i * this.#segmentFrames;
        yield {
          ...first,
          ...{ number: first.number + i, firstFrame: first.firstFrame + before },
          frames: Math.min(this.#segmentFrames, frames - before),
          discontinuity: first.discontinuity && i === 0,
        };
      }
    }
  }
}
