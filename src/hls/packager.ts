import type { FlvPacket } from './flv.js';
import { fragment, type VideoSample } from './fragment.js';
import { initSegment, type TrackFormats } from './init-segment.js';
import { FRAME_TICKS, packetOf, type Rates, SOUND_PACKET_SAMPLES, sampleOf } from './time-grid.js';

/** One fragment (`moof` and `mdat`): the smallest thing that can be sent. */
export interface Part {
  /** Counts the parts of a talk from 1, across segments and restarts. */
  readonly number: number;
  /** Number of its segment, from 1, and its own place there, from 0. */
  readonly segment: number;
  readonly index: number;
  /** Number of its first frame in the talk, from 0, and how many it holds. */
  readonly firstFrame: number;
  readonly frames: number;
  /** True when it begins with an IDR picture. */
  readonly independent: boolean;
  /** True in the first segment after a restart of the encoder. */
  readonly discontinuity: boolean;
  /** Samples by which its sound ends after its picture; fewer than a packet's, below 0 where sound is missing. */
  readonly soundSurplus: number;
  readonly bytes: Uint8Array;
}

/** A run of parts that begins with an IDR picture. */
export interface Segment {
  /** From 1. */
  readonly number: number;
  readonly firstFrame: number;
  readonly frames: number;
  /** True for the first segment after a restart of the encoder, which has an init segment of its own. */
  readonly discontinuity: boolean;
  readonly parts: readonly Part[];
}

/** What there is of a talk already. */
export interface PackagedBefore {
  /** Number of its last segment, and of a part that is at least its last one's. */
  readonly segments: number;
  readonly parts: number;
  /** The frame after its last one. */
  readonly nextFrame: number;
}

export interface PackagerOptions extends Rates {
  /** Frame size in pixels. */
  readonly width: number;
  readonly height: number;
  /** Frames a segment and a part hold; the last of each may hold fewer. */
  readonly segmentFrames: number;
  readonly partFrames: number;
  /** Where the talk goes on that was begun in another life; at its beginning when absent. */
  readonly after?: PackagedBefore | undefined;
  /** Called before the first part, when both tracks are known; again after a restart. */
  readonly onInit: (bytes: Uint8Array, formats: TrackFormats) => void;
  readonly onPart?: (part: Part) => void;
  readonly onSegment: (segment: Segment) => void;
}

/**
 * Cuts encoded frames and sound into parts and segments on one timeline of integers: frame n begins at tick 512n, sound
 * packet n at sample 1024n, both counted from the start of the talk, so decode times have neither gaps nor drift
 * (ISO/IEC 14496-12, 8.8.12). That goes on when another encoder takes over: its first sound packet is the next one.
 *
 * A part holds its frames and every sound packet that starts while they are shown. It is cut when all of these are
 * there. The sound ends with the picture: what starts later is left out.
 */
export class Packager {
  readonly #options: PackagerOptions;
  #videoConfiguration: Uint8Array | undefined;
  #soundConfiguration: Uint8Array | undefined;
  #initialized = false;
  #frames: VideoSample[] = [];
  #sound: Uint8Array[] = [];
  /** Numbers of the first waiting frame and sound packet. */
  #nextFrame = 0;
  #nextPacket = 0;
  #partsCut = 0;
  #segments = 0;
  /** Parts of the segment that is being filled, and the frames in them. */
  #parts: Part[] = [];
  #segmentFrames = 0;
  #discontinuity = false;
  #encodedFrom = 0;

  constructor(options: PackagerOptions) {
    this.#options = options;
    if (!options.after) return;
    const { segments, parts, nextFrame } = options.after;
    this.#nextFrame = nextFrame;
    this.#encodedFrom = nextFrame;
    this.#nextPacket = this.#packetsUntil(nextFrame);
    this.#segments = segments;
    this.#partsCut = parts;
    this.#discontinuity = segments > 0;
  }

  /** The first frame of the encoder at work: from there on each segment holds `segmentFrames`. */
  get encodedFrom(): number {
    return this.#encodedFrom;
  }

  /**
   * Takes the next packet of either track.
   * @throws Error when a segment would not begin with an IDR picture.
   */
  push(packet: FlvPacket): void {
    if (packet.kind === 'video') this.#frames.push(packet);
    else if (packet.kind === 'sound') this.#sound.push(packet.data);
    else if (packet.kind === 'video-configuration') this.#videoConfiguration = packet.data;
    else this.#soundConfiguration = packet.data;
    this.#initialize();
    this.#cutWholeParts(false);
  }

  /**
   * A new encoder takes over. Packets that are in no part yet are dropped, and the segment that is being filled ends with
   * the parts it has: the next one begins at `firstFrame`, with the new encoder's IDR picture and init segment.
   * @param firstFrame the frame after the last one in a part.
   * @throws RangeError for another frame: frames would be lost, or shown twice.
   */
  restart(firstFrame: number): void {
    if (firstFrame !== this.#nextFrame) {
      throw new RangeError(`Restart at frame ${firstFrame}, but ${this.#nextFrame} is the next one.`);
    }
    this.cutSegment();
    this.#encodedFrom = firstFrame;
    // RFC 8216bis 4.4.4.3: EXT-X-DISCONTINUITY is there for a change of the encoding sequence. Before the first part there
    // is nothing to be discontinuous with.
    this.#discontinuity = this.#segments > 0;
    this.#frames = [];
    this.#sound = [];
    this.#videoConfiguration = undefined;
    this.#soundConfiguration = undefined;
    this.#initialized = false;
  }

  /** End of the talk: what is left becomes the last part and the last segment. */
  finish(): void {
    this.#cutWholeParts(true);
    if (this.#initialized && this.#frames.length > 0) this.#cutPart(this.#frames.length);
    this.cutSegment();
  }

  /** Ends the segment that is being filled with the parts it has, if there are any. */
  cutSegment(): void {
    if (this.#parts.length === 0) return;
    const parts = this.#parts;
    const discontinuity = this.#discontinuity;
    const { firstFrame } = parts[0];
    const frames = this.#segmentFrames;
    this.#parts = [];
    this.#segmentFrames = 0;
    this.#discontinuity = false;
    this.#options.onSegment({ number: ++this.#segments, firstFrame, frames, discontinuity, parts });
  }

  #initialize(): void {
    if (this.#initialized || !this.#videoConfiguration || !this.#soundConfiguration) return;
    this.#initialized = true;
    const { width, height, fps, soundRate, onInit } = this.#options;
    const formats = {
      ...{ width, height, soundRate, videoTimescale: fps * FRAME_TICKS },
      videoConfiguration: this.#videoConfiguration,
      soundConfiguration: this.#soundConfiguration,
    };
    onInit(initSegment(formats), formats);
  }

  #cutWholeParts(soundIsWhole: boolean): void {
    while (this.#initialized) {
      const { segmentFrames, partFrames } = this.#options;
      // The last part of a segment is shorter where the parts do not divide it.
      const count = Math.min(partFrames, segmentFrames - this.#segmentFrames);
      if (this.#frames.length < count) return;
      if (!soundIsWhole && this.#sound.length < this.#packetsUntil(this.#nextFrame + count)) return;
      this.#cutPart(count);
      if (this.#segmentFrames === segmentFrames) this.cutSegment();
    }
  }

  /** How many of the waiting sound packets start before this frame does. */
  #packetsUntil(frame: number): number {
    return packetOf(frame, this.#options) - this.#nextPacket;
  }

  #cutPart(count: number): void {
    const firstFrame = this.#nextFrame;
    const frames = this.#frames.splice(0, count);
    const sound = this.#sound.splice(0, this.#packetsUntil(firstFrame + count));
    const independent = frames[0].keyFrame;
    // RFC 8216bis 4.4.2.1, EXT-X-INDEPENDENT-SEGMENTS: "all media samples in a Media Segment can be decoded without
    // information from other segments".
    if (this.#parts.length === 0 && !independent) throw new Error(`Frame ${firstFrame} is no IDR picture.`);
    const number = ++this.#partsCut;
    const bytes = fragment(
      number,
      { start: firstFrame * FRAME_TICKS, duration: FRAME_TICKS, samples: frames },
      { start: this.#nextPacket * SOUND_PACKET_SAMPLES, duration: SOUND_PACKET_SAMPLES, samples: sound },
    );
    this.#nextFrame += frames.length;
    this.#nextPacket += sound.length;
    this.#segmentFrames += frames.length;
    const place = { number, segment: this.#segments + 1, index: this.#parts.length };
    const discontinuity = this.#discontinuity;
    const soundEnd = this.#nextPacket * SOUND_PACKET_SAMPLES;
    const soundSurplus = soundEnd - sampleOf(this.#nextFrame, this.#options);
    const facts = { independent, discontinuity, soundSurplus, bytes };
    const part: Part = { ...place, firstFrame, frames: frames.length, ...facts };
    this.#parts.push(part);
    this.#options.onPart?.(part);
  }
}
