import { now } from '../clock.js';
import { AppError } from '../errors.js';
import { BitRate } from './bit-rate.js';
import { checkDirectives, type DeliveryDirectives, isAnswerable, type PlaylistEdge } from './blocking-reload.js';
import { soundCodec, videoCodec } from './codec-string.js';
import { type PictureSize, SOUND_KILOBITS, videoKilobits } from './encoder-arguments.js';
import type { TrackFormats } from './init-segment.js';
import { LeftSegments } from './left-segments.js';
import { MediaWindow } from './media-window.js';
import { multivariantPlaylist } from './multivariant-playlist.js';
import type { Part, Segment } from './packager.js';
import { PartStore, partName, partNumber } from './part-store.js';
import { type ListedSegment, mediaPlaylist, type PlaylistKind, targetDuration } from './playlist.js';
import { SegmentRecord } from './segment-record.js';
import { initName, type SegmentStore, segmentName, segmentNumber } from './segment-store.js';
import { noteStream, type ResumedStream } from './stream-record.js';
import { Waiters } from './waiters.js';

/** File name of the media playlist, which the multivariant playlist names. */
const PLAYLIST_NAME = 'playlist.m3u8';

/** Requests of one stream that may wait at a time. */
const MAX_WAITING = 4096;

/** Something that a playlist names: on disk, or still in memory. */
export type MediaFile = { readonly path: string } | { readonly bytes: Uint8Array };

export interface PublishedStreamOptions {
  /** Frames a second, an integer; frames in a segment and in a part. */
  readonly fps: number;
  readonly segmentFrames: number;
  readonly partFrames: number;
  readonly picture: PictureSize;
  /** See `HlsStreamOptions`. */
  readonly live: { readonly windowSegments: number; readonly record: boolean } | undefined;
  readonly edition: string | undefined;
  /** Seconds that a playlist without directives waits for the first segment. */
  readonly waitSeconds: number;
  readonly store: SegmentStore;
  /** Called when a part can be had. */
  readonly onListed?: (part: Part) => void;
  /** A number that is at least that of the last part before. Default 0. */
  readonly partsBefore?: number | undefined;
  /** What there was before the service was started anew. */
  readonly resumed?: ResumedStream | undefined;
  /** Called when segments cannot be written. */
  readonly onStoringFailed: (cause: unknown) => void;
}

/**
 * What viewers can have of a stream: its playlists, init segments, segments and parts, and the requests that wait for more of
 * it. What is added here can be had at once, from memory; the disk follows.
 */
export class PublishedStream {
  /** When the first frame was made, or would have been by the clock of today, milliseconds since the epoch. */
  startedAt = Date.now();
  readonly #options: PublishedStreamOptions;
  readonly #targetDuration: number;
  readonly #window: MediaWindow;
  readonly #parts: PartStore;
  /** All segments that were ever made. */
  readonly #record: SegmentRecord;
  /** Whether all are kept. */
  readonly #whole: boolean;
  readonly #bitRate: BitRate;
  readonly #waiters = new Waiters(MAX_WAITING);
  readonly #inits: Uint8Array[] = [];
  #formats: TrackFormats | undefined;
  /** Parts of the segments that are not on disk yet. */
  readonly #unwritten = new Map<number, readonly Part[]>();
  readonly #left: LeftSegments;
  #lastSegmentParts = 0;
  #ended: { readonly at: number; readonly failure: AppError | undefined } | undefined;
  #closed: AppError | undefined;
  /** Playlists as they are until something changes. */
  readonly #texts = new Map<string, string>();

  constructor(options: PublishedStreamOptions) {
    const { fps, segmentFrames, live } = options;
    this.#options = options;
    this.#targetDuration = targetDuration(options);
    this.#window = new MediaWindow({
      windowFrames: live && live.windowSegments * segmentFrames,
      uri: (name) => withEdition(name, options.edition),
    });
    // RFC 8216bis 6.2.2: "Clients MUST be able to download the Partial Segment for at least three Target Durations after
    // the EXT-X-PART tag is removed from the Playlist." It is listed for three at most; one more to be on the safe side.
    this.#parts = new PartStore(live ? 7 * this.#targetDuration * fps : 0, options.partsBefore);
    this.#whole = !live || live.record;
    this.#record = new SegmentRecord(segmentFrames, options.resumed?.runs);
    this.#left = new LeftSegments(live ? (live.windowSegments + 2) * segmentFrames : 0);
    this.#bitRate = new BitRate(this.#targetDuration);
    if (!options.resumed) return;
    const { inits, formats, sizes, ended } = options.resumed;
    this.#inits.push(...inits);
    this.#formats = formats;
    const segments = this.#recorded();
    const there = segments.slice(-sizes.length);
    for (const [i, { frames }] of there.entries()) this.#bitRate.add(sizes[i]!, frames / fps);
    const left = this.#window.restore(segments);
    this.#forget(left.filter(({ number }) => number >= there[0]!.number));
    if (ended) this.#ended = { at: 0, failure: undefined };
  }

  /** Whole segments so far. */
  get segments(): number {
    return this.#window.lastSegment;
  }

  /** The frame after the last one that is in a segment on disk. */
  get framesStored(): number {
    const [unwritten] = this.#unwritten.values();
    if (unwritten) return unwritten[0]!.firstFrame;
    const last = this.#window.segments.at(-1);
    return last ? last.firstFrame + last.frames : 0;
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** What the parts from here on need to be decoded. */
  addInit(bytes: Uint8Array, formats: TrackFormats): void {
    this.#inits.push(bytes);
    this.#formats = formats;
    const { store, onStoringFailed } = this.#options;
    store.write(initName(this.#inits.length), [bytes], { synced: true }).catch(onStoringFailed);
  }

  addPart(part: Part): void {
    this.#parts.add(part);
    this.#window.addPart(part, initName(this.#inits.length), this.startedAt);
    this.#changed();
    this.#options.onListed?.(part);
  }

  /** The parts of the segment were added before. */
  addSegment(segment: Segment): void {
    const { number, firstFrame, frames, discontinuity, parts } = segment;
    const bytes = parts.map((part) => part.bytes);
    const { edition, store, onStoringFailed } = this.#options;
    const place = { number, firstFrame, frames, discontinuity };
    const made = { initName: initName(this.#inits.length), edition, startedAt: this.startedAt };
    if (this.#record.add({ ...place, ...made })) this.#note();
    this.#bitRate.add(
      bytes.reduce((sum, { byteLength }) => sum + byteLength, 0),
      frames / this.#options.fps,
    );
    this.#lastSegmentParts = parts.length;
    this.#unwritten.set(number, parts);
    store.write(segmentName(number), bytes).then(() => this.#unwritten.delete(number), onStoringFailed);
    this.#forget(this.#window.addSegment(segment));
    this.#changed();
  }

  /** No more will be added. */
  end(failure?: AppError): void {
    this.#ended ??= { at: now(), failure };
    this.#note();
    this.#changed();
  }

  /** Notes on disk what a restart of the service must know. */
  #note(): void {
    const { store, onStoringFailed } = this.#options;
    const ended = this.#ended !== undefined && !this.#ended.failure;
    if (!this.#formats) return;
    noteStream(store, { runs: this.#record.runs, ended, formats: this.#formats }).catch(onStoringFailed);
  }

  /** Wakes every waiter; nothing can be had any more. @param reason what those who ask are told */
  close(reason = new AppError('session_not_found', 'This session is closed.')): void {
    this.#closed = reason;
    this.#changed();
  }

  /**
   * The media playlist, as soon as it is what was asked for (RFC 8216bis 6.2.5.2).
   * @throws AppError see `HlsStream.playlist`
   */
  async playlist(directives: DeliveryDirectives, signal?: AbortSignal): Promise<string> {
    // "A Server MUST ignore _HLS_msn and _HLS_part if the Playlist contains an EXT-X-ENDLIST tag", and `_HLS_skip` too. One
    // that does not offer them ignores them always.
    const wanted = this.#options.live && !this.#ended ? directives : {};
    checkDirectives(wanted, this.#edge());
    const ready = () => this.#isOver() || isAnswerable(wanted, this.#edge());
    // "A Server that cannot provide the requested Playlist after blocking for more than three Target Durations SHOULD
    // return Service Unavailable".
    const seconds = wanted.msn === undefined ? this.#options.waitSeconds : 3 * this.#targetDuration;
    await this.#waiters.until(ready, seconds, signal);
    this.#assertSegments();
    if (!ready()) throw notReady('The segment that was asked for is not ready yet.');
    return this.#text(wanted.skip ?? false);
  }

  /** @throws AppError see `HlsStream.multivariantPlaylist` */
  async multivariantPlaylist(signal?: AbortSignal): Promise<string> {
    await this.#waiters.until(() => this.#isOver() || this.segments > 0, this.#options.waitSeconds, signal);
    this.#assertSegments();
    const { picture, fps } = this.#options;
    const { videoConfiguration, soundConfiguration } = this.#formats!;
    // The encoder may spend twice its rate in one second (`-bufsize`), and sound and boxes come on top. Once all segments
    // are made it is known; RFC 8216bis 4.4.6.2 then wants the largest.
    const ceiling = 1000 * (2 * videoKilobits(picture) + 2 * SOUND_KILOBITS);
    const { peak, average } = this.#bitRate;
    return multivariantPlaylist({
      uri: PLAYLIST_NAME,
      peakBitRate: this.#ended ? peak : Math.max(peak, ceiling),
      averageBitRate: average,
      codecs: [videoCodec(videoConfiguration), soundCodec(soundConfiguration)],
      ...picture,
      fps,
    });
  }

  /**
   * An init segment, a segment or a part of this edition, or of any where none is named; the part that is hinted at when it is whole. undefined for every other name.
   * @throws AppError `not_ready` when the hinted part does not come in time; the signal's reason
   */
  async media(name: string, edition?: string, signal?: AbortSignal): Promise<MediaFile | undefined> {
    const init = this.#inits.findIndex((_, i) => initName(i + 1) === name);
    if (init >= 0) return { bytes: this.#inits[init] };
    const part = partNumber(name);
    if (part !== undefined) return this.#isOf(edition, this.#options.edition) ? this.#part(part, signal) : undefined;
    const segment = segmentNumber(name);
    if (segment === undefined || !this.#isOf(edition, this.#record.editionOf(segment))) return undefined;
    const unwritten = this.#unwritten.get(segment);
    if (unwritten) return { bytes: Buffer.concat(unwritten.map(({ bytes }) => bytes)) };
    const path = this.#options.store.segmentPath(segment);
    return path === undefined ? undefined : { path };
  }

  /**
   * Absolute paths of an init segment and every segment of the talk.
   * @throws AppError `not_found` when not all are kept, or there are none
   */
  allFiles(): string[] {
    this.#assertSegments();
    if (!this.#whole) throw new AppError('not_found', 'This talk was not recorded: init it with record=true.');
    const { store } = this.#options;
    // All encoders of a talk have the same settings, so the first init segment fits all segments.
    const names = [...this.#record.segments()].map(({ number }) => segmentName(number));
    return [initName(1), ...names].map((each) => store.path(each));
  }

  /**
   * Names of segments and parts that were listed, and lost when the service was killed, come again for other bytes; but "the
   * same URI" must not mean another resource, for caches keep them. Where the notes were lost, nobody knows what it was made as.
   */
  #isOf(asked: string | undefined, made: string | undefined): boolean {
    return asked === undefined || made === undefined || asked === made;
  }

  async #part(number: number, signal?: AbortSignal): Promise<MediaFile | undefined> {
    if (!this.#options.live) return undefined;
    // RFC 8216bis 6.2.6: of a hinted part "the server MUST refrain from transmitting any bytes [...] until all bytes of that
    // Partial Segment can be transmitted at the full speed of the link", and what was not hinted at is not found.
    if (number === this.#parts.newest + 1) {
      await this.#waiters.until(() => this.#isOver() || this.#parts.newest >= number, 3 * this.#targetDuration, signal);
      if (this.#parts.newest < number && !this.#isOver()) throw notReady('The part is not ready yet.');
    }
    const bytes = this.#parts.get(number);
    return bytes && { bytes };
  }

  #text(skip: boolean): string {
    const kind = this.#kind();
    const key = `${kind} ${skip}`;
    const known = this.#texts.get(key);
    if (known !== undefined) return known;
    const { fps, segmentFrames, partFrames } = this.#options;
    const { open, discontinuitySequence } = this.#window;
    const text = mediaPlaylist({
      ...{ kind, fps, segmentFrames, partFrames, skip, open, discontinuitySequence },
      segments: kind === 'replay' ? this.#recorded() : this.#window.segments,
      nextPartUri: withEdition(partName(this.#parts.newest + 1), this.#options.edition),
      ended: this.#ended !== undefined,
    });
    this.#texts.set(key, text);
    return text;
  }

  /**
   * The playlist of a recorded live talk becomes that of the whole talk, but not under the eyes of a player that has followed
   * it: for that one the media sequence number "MUST NOT decrease or wrap" (RFC 8216bis 6.2.2). Players reload at least once
   * a target duration, so after three of them all have seen the end.
   */
  #kind(): PlaylistKind {
    if (!this.#options.live) return 'event';
    if (!this.#whole || !this.#ended) return 'live';
    return now() - this.#ended.at > 3000 * this.#targetDuration ? 'replay' : 'live';
  }

  #recorded(): ListedSegment[] {
    return [...this.#record.segments()].map(({ initName: init, edition, ...segment }) => {
      const [uri, initUri] = [segmentName(segment.number), init].map((name) => withEdition(name, edition));
      return { ...segment, uri: uri!, initUri: initUri!, parts: [] };
    });
  }

  #edge(): PlaylistEdge {
    const { fps, segmentFrames, partFrames } = this.#options;
    return {
      ...{ lastSegment: this.segments, lastSegmentParts: this.#lastSegmentParts },
      openParts: this.#window.open?.parts.length ?? 0,
      partsPerSegment: Math.ceil(segmentFrames / partFrames),
      partTarget: partFrames / fps,
    };
  }

  #forget(left: readonly ListedSegment[]): void {
    if (this.#whole) return;
    const now = this.#window.endFrame;
    this.#left.add(left, now);
    const upTo = this.#left.takeExpired(now);
    if (upTo !== undefined) this.#options.store.removeSegments(upTo).catch(this.#options.onStoringFailed);
  }

  #isOver(): boolean {
    return this.#closed !== undefined || this.#ended !== undefined;
  }

  /** A playlist without a segment would make players give up for good. */
  #assertSegments(): void {
    if (this.#closed) throw this.#closed;
    if (this.segments > 0) return;
    if (!this.#ended) throw notReady('The first segment is not ready yet.');
    const { failure } = this.#ended;
    if (!failure) throw new AppError('not_found', 'Nothing was said in this talk.');
    throw new AppError('not_found', `The talk ended before its first segment: ${failure.message}`);
  }

  #changed(): void {
    this.#texts.clear();
    this.#waiters.wake();
  }
}

function withEdition(name: string, edition: string | undefined): string {
  return edition === undefined ? name : `${name}?e=${edition}`;
}

function notReady(detail: string): AppError {
  return new AppError('not_ready', detail, { retryAfterSeconds: 1 });
}
