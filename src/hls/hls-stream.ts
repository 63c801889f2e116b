import { AppError } from '../errors.js';
import type { Logger } from '../log.js';
import type { Instruments } from '../metrics/instruments.js';
import type { DeliveryDirectives } from './blocking-reload.js';
import { Download } from './download.js';
import { DurableEncoder } from './durable-encoder.js';
import type { PictureSize } from './encoder-arguments.js';
import { Packager } from './packager.js';
import { PartTiming } from './part-timing.js';
import { type MediaFile, PublishedStream } from './published-stream.js';
import type { RecordFormat } from './rebuilt-record.js';
import { SegmentStore } from './segment-store.js';
import { isDiskFull, storageError } from './storage-error.js';
import { type ResumedStream, readStream } from './stream-record.js';
import { FRAME_TICKS, packetOf, SOUND_PACKET_SAMPLES, sampleOf } from './time-grid.js';

/** Sound samples a second, mono, of every stream. */
export const STREAM_SOUND_RATE = 48_000;

/** Encoded bytes that may wait for the disk before `drained` makes the caller wait. */
const MAX_PENDING_BYTES = 16 * 1024 * 1024;

const DOWNLOAD_NAME = 'talk.mp4';

export interface HlsStreamOptions {
  /** Folder of this talk; made here. */
  readonly directory: string;
  /** Frame size in pixels; both even. */
  readonly width: number;
  readonly height: number;
  /** Size of the picture that viewers get; that of the frames when absent. */
  readonly picture?: PictureSize | undefined;
  /** Frames a second, an integer. */
  readonly fps: number;
  /** Frames a segment holds; the last may hold fewer. */
  readonly segmentFrames: number;
  /** Frames a part holds; the last of a segment may hold fewer. */
  readonly partFrames: number;
  /**
   * Low-Latency HLS over a sliding window of so many segments; with `record`, what has left the window is kept and the
   * playlist is that of the whole talk after its end. Absent: a playlist that grows, without parts in it.
   */
  readonly live?: { readonly windowSegments: number; readonly record: boolean } | undefined;
  /**
   * Goes into every URI of the playlist, so that a talk which takes over the address of an earlier one is not played from a
   * cache: media may be kept for ever (RFC 8216bis 6.2.1), and the same URI must mean the same bytes.
   */
  readonly edition?: string;
  /** Seconds that `playlist` waits for the first segment; 15 when absent. */
  readonly waitSeconds?: number;
  /** How long writes wait for room where the disk is full; 60 s when absent. */
  readonly fullDiskMilliseconds?: number;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly instruments?: Instruments | undefined;
  /** Called once when encoding or storing fails. What is published stays, and the playlist is ended there. */
  readonly onError?: (error: AppError) => void;
}

export type { DeliveryDirectives } from './blocking-reload.js';
export type { MediaFile } from './published-stream.js';

/** One talk as an HLS stream: frames and sound in, playlist and media files out. */
export class HlsStream {
  readonly #options: HlsStreamOptions;
  readonly #store: SegmentStore;
  readonly #packager: Packager;
  readonly #published: PublishedStream;
  /** What is measured of the stream. */
  readonly timing: PartTiming;
  readonly #download: Download;
  /** Absent in a stream that had ended before the service was started anew. */
  #encoder: DurableEncoder | undefined;
  readonly #resumed: ResumedStream | undefined;
  #finished = false;
  #finishing: Promise<void> | undefined;
  #failure: AppError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: HlsStreamOptions, store: SegmentStore, resumed?: ResumedStream) {
    const { fps, segmentFrames, partFrames, live, edition, waitSeconds = 15 } = options;
    const picture = pictureOf(options);
    this.#options = options;
    this.#store = store;
    const { instruments } = options;
    this.timing = new PartTiming({ fps, soundRate: STREAM_SOUND_RATE, live: live !== undefined, instruments });
    this.#resumed = resumed;
    this.#finished = resumed?.ended ?? false;
    const [, segments] = store.range;
    // Numbers of parts that were listed and are gone must not come again, and the last segment may have had no file yet.
    const partsBefore = resumed && (segments + 2) * Math.ceil(segmentFrames / partFrames);
    this.#download = new Download(store.path(DOWNLOAD_NAME));
    this.#published = new PublishedStream({
      ...{ fps, segmentFrames, partFrames, picture, live, edition, waitSeconds, store, resumed, partsBefore },
      onStoringFailed: (cause) => this.#storingFailed(cause),
      onListed: (part) => this.timing.list(part),
    });
    this.#packager = new Packager({
      ...picture,
      ...{ fps, segmentFrames, partFrames, soundRate: STREAM_SOUND_RATE },
      after: resumed && { segments, parts: partsBefore!, nextFrame: resumed.nextFrame },
      onInit: (bytes, formats) => this.#published.addInit(bytes, formats),
      onPart: (part) => {
        this.#published.addPart(part);
        this.#encoder?.settle(part.firstFrame + part.frames);
      },
      onSegment: (segment) => this.#published.addSegment(segment),
    });
  }

  /**
   * Makes the folder and starts the encoder.
   * @throws AppError `internal` when either is not possible.
   */
  static async open(options: HlsStreamOptions): Promise<HlsStream> {
    const store = await SegmentStore.create(options.directory, options.fullDiskMilliseconds).catch((cause) => {
      throw storageError(cause, 'The folder of the stream could not be made.');
    });
    const stream = new HlsStream(options, store);
    try {
      await stream.#encode();
    } catch (error) {
      await store.remove();
      throw error;
    }
    return stream;
  }

  /**
   * Goes on with the stream that an earlier service left in the folder: the next frame is the one after its last whole
   * segment, behind a discontinuity. Frames that were in no whole segment are to be written again.
   * @param options those of the stream, with an edition of its own
   * @throws AppError `internal` when the folder cannot be read, or the encoder does not start
   */
  static async resume(options: HlsStreamOptions): Promise<HlsStream> {
    try {
      const store = await SegmentStore.resume(options.directory, options.fullDiskMilliseconds);
      const stream = new HlsStream(options, store, await readStream(store, formatOf(options)));
      if (!stream.finished) await stream.#encode();
      return stream;
    } catch (cause) {
      throw new AppError('internal', 'The stream could not be gone on with.', { cause });
    }
  }

  /**
   * Takes up the stream that an earlier service left in the folder only to be seen: nothing will be added, whether it had its end
   * or not.
   * @param failure what keeps it from going on; undefined where it had come to its end
   * @throws AppError `internal` when the folder is not ours, or where there is no failure, and the stream cannot be read
   */
  static async resumeEnded(options: HlsStreamOptions, failure: AppError | undefined): Promise<HlsStream> {
    try {
      const store = await SegmentStore.resume(options.directory, options.fullDiskMilliseconds);
      const left = await readStream(store, formatOf(options)).catch((error) => {
        if (!failure) throw error;
        options.logger.warn({ err: error }, 'nothing of the stream can be shown');
        return undefined;
      });
      const seen = left !== undefined && left.sizes.length > 0;
      const stream = new HlsStream(options, store, left && { ...left, ended: seen });
      stream.#finished = true;
      if (!seen) stream.#published.end(failure);
      return stream;
    } catch (cause) {
      throw new AppError('internal', 'The stream could not be gone on with.', { cause });
    }
  }

  async #encode(): Promise<void> {
    const { width, height, fps, segmentFrames, logger } = this.#options;
    this.#encoder = await DurableEncoder.open({
      ...{ width, height, fps, segmentFrames, logger, soundRate: STREAM_SOUND_RATE },
      picture: pictureOf(this.#options),
      onPacket: (packet) => this.#packager.push(packet),
      onRestart: (firstFrame) => {
        this.#options.instruments?.encoderRestarts.inc();
        this.#packager.restart(firstFrame);
      },
      onError: (error) => this.#fail(error),
      firstFrame: this.firstFrame,
    });
  }

  /** Seconds of sound, from the first frame to be written on, that are in the last segment already. */
  get soundBeyondSeconds(): number {
    const rates = { fps: this.#options.fps, soundRate: STREAM_SOUND_RATE };
    const soundStart = packetOf(this.firstFrame, rates) * SOUND_PACKET_SAMPLES;
    return (soundStart - sampleOf(this.firstFrame, rates)) / STREAM_SOUND_RATE;
  }

  /** The first frame to be written: 0, or where a stream that was resumed goes on. */
  get firstFrame(): number {
    return this.#resumed?.nextFrame ?? 0;
  }

  /** True once the playlist has its end. */
  get finished(): boolean {
    return this.#finished;
  }

  get framesWritten(): number {
    return this.#encoder?.framesWritten ?? this.firstFrame;
  }

  /** Frames written that are in no part yet: about 12 while the encoder keeps up with the clock. */
  get framesUnsettled(): number {
    return this.#encoder?.framesKept ?? 0;
  }

  /** The frame after the last one that is on disk: a service that is started anew goes on there. */
  get framesStored(): number {
    return this.#published.framesStored;
  }

  /** A segment ends here, and from here on another after each `segmentFrames`, unless FFmpeg is replaced or the talk ends. */
  get segmentsFrom(): number {
    return this.#packager.encodedFrom;
  }

  /** See `HlsStreamOptions`. */
  get segmentFrames(): number {
    return this.#options.segmentFrames;
  }

  /** Whole segments so far. */
  get segments(): number {
    return this.#published.segments;
  }

  /** Requests that wait for something to be published. */
  get waiting(): number {
    return this.#published.waiting;
  }

  /** The encoder's process id while it runs. */
  get pid(): number | undefined {
    return this.#encoder?.pid;
  }

  /**
   * Queues sound. A frame is encoded when the sound is about 90 ms past it, so write the sound first, as early as it is
   * known.
   * @param samples 48 kHz mono, -1..1.
   */
  writeSound(samples: Float32Array): void {
    this.#encoder?.writeSound(samples);
  }

  /**
   * Queues frames.
   * @param i420 `count` frames one after the other, each width * height * 3/2 bytes; not to be changed afterwards.
   */
  writeFrames(i420: Uint8Array, count: number): void {
    const { width, height } = this.#options;
    if (i420.byteLength !== (count * width * height * 3) / 2) throw new RangeError(`Not ${count} frames.`);
    if (this.framesWritten === this.firstFrame) {
      // A fed talk may have been made faster than it plays: its time must not go back.
      const before = this.#resumed?.runs.at(-1)?.first.startedAt ?? 0;
      const now = Date.now() - Math.round((1000 * this.firstFrame) / this.#options.fps);
      this.#published.startedAt = Math.max(now, before);
    }
    this.timing.write(this.framesWritten, count);
    this.#encoder?.writeFrames(i420);
  }

  /**
   * Resolves when the encoder and the disk keep up. Frames that have no sound yet are not waited for.
   * @throws AppError the stream's error once it failed, `session_closed` after `close`.
   */
  async drained(): Promise<void> {
    this.#assertAlive();
    await this.#unlessFailed(this.#encoder?.drained());
    if (this.#store.pendingBytes > MAX_PENDING_BYTES) await this.#store.flushed().catch(() => {});
    this.#assertAlive();
  }

  /**
   * End of the talk: the last segment is cut, and the playlist ended. The sound ends with the picture.
   * @throws AppError as `drained` does.
   */
  finish(): Promise<void> {
    this.#finishing ??= this.#finish();
    return this.#finishing;
  }

  /**
   * The media playlist as soon as it is what was asked for; without directives as it is now. Waits for the first whole
   * segment: a playlist without any makes players give up. Directives are for live streams and ignored by others.
   *
   * @param signal frees the waiter when the client leaves; then rejects with the signal's reason.
   * @throws AppError `not_ready` when it is not there within the time, or too many wait; `invalid_parameter` for directives
   *   that no playlist will answer; `session_not_found` when the stream is closed, `not_found` when the talk ended without
   *   a segment.
   */
  playlist(directives: DeliveryDirectives = {}, signal?: AbortSignal): Promise<string> {
    return this.#published.playlist(directives, signal);
  }

  /**
   * The multivariant playlist: one variant, the media playlist. Waits for the first whole segment.
   * @throws AppError as `playlist` does
   */
  multivariantPlaylist(signal?: AbortSignal): Promise<string> {
    return this.#published.multivariantPlaylist(signal);
  }

  /**
   * What a playlist names: an init segment, a segment or a part, on disk or in memory. The part that is hinted at comes when
   * it is whole. undefined for every other name, and for what has been removed.
   * @param signal as for `playlist`.
   * @throws AppError `not_ready` when the hinted part does not come in time.
   */
  media(name: string, edition?: string, signal?: AbortSignal): Promise<MediaFile | undefined> {
    return this.#published.media(name, edition, signal);
  }

  /**
   * The finished talk as one MP4 file.
   * @returns its absolute path.
   * @throws AppError `not_finished` before the end, `not_found` when nothing was said or the live talk was not recorded,
   *   `internal` when it cannot be made.
   */
  async download(): Promise<string> {
    if (!this.#finished) throw new AppError('not_finished', 'The talk is not finished yet.');
    return this.#download.file(this.#published.allFiles());
  }

  /** Stops everything and wakes every waiter. Idempotent; resolves when no process and, if asked, no file is left. */
  close({ removeFiles }: { removeFiles: boolean }): Promise<void> {
    this.#closing ??= this.#close(removeFiles);
    return this.#closing;
  }

  async #finish(): Promise<void> {
    this.#assertAlive();
    if (this.#finished) return;
    await this.#unlessFailed(this.#encoder?.end());
    try {
      this.#packager.finish();
      await this.#store.flushed();
    } catch (cause) {
      this.#storingFailed(cause);
    }
    this.#assertAlive();
    this.#finished = true;
    this.#published.end();
    await this.#encoder?.close();
  }

  async #close(removeFiles: boolean): Promise<void> {
    // Where its files stay, it comes back when the service does.
    const again = new AppError('draining', 'The service is being started again.', { retryAfterSeconds: 2 });
    this.#published.close(removeFiles ? undefined : again);
    this.#store.hurry();
    await Promise.all([this.#encoder?.close(), this.#download.close()]);
    if (removeFiles) await this.#store.remove();
    else await this.#store.flushed().catch(() => {});
  }

  #storingFailed(cause: unknown): void {
    if (this.#failure || this.#closing) return;
    this.#options.logger.error({ err: cause }, 'segments could not be stored');
    const full = 'The disk that keeps the streams was full for too long: the stream ends here.';
    this.#fail(
      isDiskFull(cause)
        ? new AppError('storage_full', full, { cause })
        : new AppError('internal', 'The stream could not be stored.', { cause }),
    );
  }

  #fail(error: AppError): void {
    if (this.#failure || this.#closing) return;
    this.#failure = error;
    // What is listed in parts is listed as a segment, so that it can be seen to the end.
    this.#packager.cutSegment();
    this.#published.end(error);
    this.#encoder?.close().catch((err) => this.#options.logger.warn({ err }, 'encoder not closed cleanly'));
    this.#options.onError?.(error);
  }

  /** A failed stream closes its encoder: what failed first is what callers are told. */
  async #unlessFailed(work: Promise<void> | undefined): Promise<void> {
    await work?.catch((error) => {
      throw this.#failure ?? error;
    });
  }

  #assertAlive(): void {
    if (this.#failure) throw this.#failure;
    if (this.#closing) throw new AppError('session_closed', 'The session was closed.');
  }
}

/** What the notes of a stream need to be made anew. */
function formatOf(options: HlsStreamOptions): RecordFormat {
  const { fps, segmentFrames } = options;
  return {
    ...pictureOf(options),
    ...{ fps, segmentFrames, soundRate: STREAM_SOUND_RATE, videoTimescale: fps * FRAME_TICKS },
  };
}

function pictureOf({ width, height, picture }: HlsStreamOptions): PictureSize {
  return picture ?? { width, height };
}
