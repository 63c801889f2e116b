import type { Part, Segment } from './packager.js';
import { partName } from './part-store.js';
import type { ListedPart, ListedSegment } from './playlist.js';
import { segmentName } from './segment-store.js';

export interface MediaWindowOptions {
  /** Frames that whole segments in the playlist last together, at least; undefined: none ever leaves. */
  readonly windowFrames: number | undefined;
  /** The URI for a file name. */
  readonly uri: (name: string) => string;
}

/** What a media playlist lists now: whole segments, and the parts of the one that is being filled. */
export class MediaWindow {
  readonly #options: MediaWindowOptions;
  readonly #segments: ListedSegment[] = [];
  #open: (ListedSegment & { readonly parts: ListedPart[] }) | undefined;
  #discontinuitySequence = 0;
  #lastSegment = 0;

  constructor(options: MediaWindowOptions) {
    this.#options = options;
  }

  /** Whole segments, oldest first. */
  get segments(): readonly ListedSegment[] {
    return this.#segments;
  }

  /** The segment that is being filled, when it has a part. */
  get open(): ListedSegment | undefined {
    return this.#open;
  }

  /** Number of the newest whole segment, 0 before the first. */
  get lastSegment(): number {
    return this.#lastSegment;
  }

  /** Discontinuities before segments that have left. */
  get discontinuitySequence(): number {
    return this.#discontinuitySequence;
  }

  /** The frame after the last one that is listed. */
  get endFrame(): number {
    const last = this.#open ?? this.#segments.at(-1);
    return last ? last.firstFrame + last.frames : 0;
  }

  /**
   * @param initName file name of the init segment that the part needs
   * @param startedAt when frame 0 was made by the clock of the part
   */
  addPart(part: Part, initName: string, startedAt: number): void {
    const { number, segment, firstFrame, frames, independent, discontinuity } = part;
    const { uri } = this.#options;
    const before = this.#open ?? {
      ...{ number: segment, uri: uri(segmentName(segment)), firstFrame, frames: 0, discontinuity },
      ...{ initUri: uri(initName), startedAt, parts: [] },
    };
    const listed = { uri: uri(partName(number)), frames, independent };
    this.#open = { ...before, frames: before.frames + frames, parts: [...before.parts, listed] };
  }

  /**
   * The segment that was being filled is whole.
   * @returns the segments that leave the window for it.
   */
  addSegment({ number }: Segment): ListedSegment[] {
    if (this.#open?.number !== number) throw new Error(`Segment ${number} has no part.`);
    // Where no segment ever leaves, no part is ever listed either.
    this.#segments.push(this.#options.windowFrames === undefined ? { ...this.#open, parts: [] } : this.#open);
    this.#open = undefined;
    this.#lastSegment = number;
    return this.#slide();
  }

  /**
   * Lists what there was before the service was started anew; before anything is added.
   * @param segments all that were ever made, oldest first
   * @returns those that have left the window
   */
  restore(segments: readonly ListedSegment[]): ListedSegment[] {
    // One by one: a talk of days has more than a call may have arguments.
    for (const segment of segments) this.#segments.push(segment);
    this.#lastSegment = segments.at(-1)?.number ?? 0;
    return this.#slide();
  }

  /** Lets the segments go that the window can do without. */
  #slide(): ListedSegment[] {
    const left = this.#segments.splice(0, this.#surplus());
    this.#discontinuitySequence += left.filter(({ discontinuity }) => discontinuity).length;
    return left;
  }

  /** How many of the oldest segments the window can do without. */
  #surplus(): number {
    const { windowFrames } = this.#options;
    if (windowFrames === undefined) return 0;
    const end = this.endFrame;
    // Counted in frames: segments that a restart has cut short do not make the window shorter. RFC 8216bis 6.2.2: no
    // segment may leave if the playlist would then be shorter than three target durations.
    const kept = this.#segments.findLastIndex(({ firstFrame }) => end - firstFrame >= windowFrames);
    return Math.max(0, kept);
  }
}
