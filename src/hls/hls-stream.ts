import { AppError } from '../errors.js';
import type { Logger } from '../log.js';
import { Download } from './download.js';
import { Encoder } from './encoder.js';
import type { PictureSize } from './encoder-arguments.js';
import { Packager, type Segment } from './packager.js';
import { type ListedSegment, mediaPlaylist } from './playlist.js';
import { INIT_NAME, SegmentStore, segmentName } from './segment-store.js';

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
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** Called once when encoding or storing fails. What is published stays, and the playlist is ended there. */
  readonly onError?: (error: AppError) => void;
}

/** Something that a playlist names: on disk, or still in memory. */
export type MediaFile = { readonly path: string } | { readonly bytes: Uint8Array };

/** What a player asks of a playlist by its query (RFC 8216bis 6.2.5). A number that could not be read is NaN. */
export interface DeliveryDirectives {
  /** `_HLS_msn`: the answer is to have this segment, or a part of it. */
  readonly msn?: number;
  /** `_HLS_part`: index of that part. */
  readonly part?: number;
  /** `_HLS_skip`: older segments may be left out. */
  readonly skip?: boolean;
}

/** One talk as an HLS stream: frames and sound in, playlist and media files out. */
export class HlsStream {
  readonly #options: HlsStreamOptions;
  readonly #store: SegmentStore;
  readonly #packager: Packager;
  readonly #download: Download;
  #encoder!: Encoder;
  readonly #segments: ListedSegment[] = [];
  #startedAt = Date.now();
  #finished = false;
  #finishing: Promise<void> | undefined;
  #failure: AppError | undefined;
  #closing: Promise<void> | undefined;
  /** Wakes those who wait for the first segment. */
  readonly #waiters = new Set<() => void>();

  private constructor(options: HlsStreamOptions, store: SegmentStore) {
    const { fps, segmentFrames } = options;
    this.#options = options;
    this.#store = store;
    this.#download = new Download(store.path(DOWNLOAD_NAME));
    this.#packager = new Packager({
      ...pictureOf(options),
      ...{ fps, segmentFrames, soundRate: STREAM_SOUND_RATE },
      // One part a segment. Low-Latency HLS lists shorter ones.
      partFrames: segmentFrames,
      onInit: (bytes) => void this.#store.write(INIT_NAME, [bytes]).catch((error) => this.#storingFailed(error)),
      onSegment: (segment) => this.#publish(segment),
    });
  }

  /**
   * Makes the folder and starts the encoder.
   * @throws AppError `internal` when either is not possible.
   */
  static async open(options: HlsStreamOptions): Promise<HlsStream> {
    const store = await SegmentStore.create(options.directory).catch((cause) => {
      throw new AppError('internal', 'The folder of the stream could not be made.', { cause });
    });
    const stream = new HlsStream(options, store);
    const { width, height, fps, segmentFrames, logger } = options;
    try {
      stream.#encoder = await Encoder.open({
        ...{ width, height, fps, segmentFrames, logger, soundRate: STREAM_SOUND_RATE },
        picture: pictureOf(options),
        onPacket: (packet) => stream.#packager.push(packet),
        onError: (error) => stream.#fail(error),
      });
    } catch (error) {
      await store.remove();
      throw error;
    }
    return stream;
  }

  /** True once the playlist has its end. */
  get finished(): boolean {
    return this.#finished;
  }

  get framesWritten(): number {
    return this.#encoder.framesWritten;
  }

  /** Segments in the playlist. */
  get segments(): number {
    return this.#segments.length;
  }

  /** The encoder's process id while it runs. */
  get pid(): number | undefined {
    return this.#encoder.pid;
  }

  /**
   * Queues sound. A frame is encoded when the sound is about 90 ms past it, so write the sound first, as early as it is
   * known.
   * @param samples 48 kHz mono, -1..1.
   */
  writeSound(samples: Float32Array): void {
    this.#encoder.writeSound(samples);
  }

  /**
   * Queues frames.
   * @param i420 `count` frames one after the other, each width * height * 3/2 bytes; not to be changed afterwards.
   */
  writeFrames(i420: Uint8Array, count: number): void {
    const { width, height } = this.#options;
    if (i420.byteLength !== (count * width * height * 3) / 2) throw new RangeError(`Not ${count} frames.`);
    if (this.framesWritten === 0) this.#startedAt = Date.now();
    this.#encoder.writeFrames(i420);
  }

  /**
   * Resolves when the encoder and the disk keep up. Frames that have no sound yet are not waited for.
   * @throws AppError the stream's error once it failed, `session_closed` after `close`.
   */
  async drained(): Promise<void> {
    this.#assertAlive();
    await this.#unlessFailed(this.#encoder.drained());
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
   * The media playlist as it is now. Waits for the first whole segment: a playlist without any makes players give up.
   *
   * @param signal frees the waiter when the client leaves; then rejects with the signal's reason.
   * @throws AppError `not_ready` when there is no segment within the time, `session_not_found` when the stream is closed,
   *   `not_found` when the talk ended without a segment.
   */
  async playlist(_directives: DeliveryDirectives = {}, signal?: AbortSignal): Promise<string> {
    if (!this.#hasAnswer()) await this.#wait(signal);
    if (this.#closing) throw new AppError('session_not_found', 'This session is closed.');
    if (this.#segments.length === 0) this.#explainEmptiness();
    return mediaPlaylist({
      fps: this.#options.fps,
      segmentFrames: this.#options.segmentFrames,
      startedAt: this.#startedAt,
      initUri: this.#uri(INIT_NAME),
      segments: this.#segments,
      ended: this.#finished || this.#failure !== undefined,
    });
  }

  /** The multivariant playlist. Waits as `playlist` does. @throws AppError as `playlist` does */
  async multivariantPlaylist(signal?: AbortSignal): Promise<string> {
    await this.playlist({}, signal);
    return '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=3500000\nplaylist.m3u8\n';
  }

  /** Absolute path or bytes of an init segment, a segment or a part; undefined for every other name. */
  async media(name: string, _signal?: AbortSignal): Promise<MediaFile | undefined> {
    return this.#store.has(name) ? { path: this.#store.path(name) } : undefined;
  }

  /**
   * The finished talk as one MP4 file.
   * @returns its absolute path.
   * @throws AppError `not_finished` before the end, `internal` when it cannot be made or nothing was said.
   */
  async download(): Promise<string> {
    if (!this.#finished) throw new AppError('not_finished', 'The talk is not finished yet.');
    if (this.#segments.length === 0) this.#explainEmptiness();
    return this.#download.file(
      [INIT_NAME, ...this.#segments.map(({ number }) => segmentName(number))].map((name) => this.#store.path(name)),
    );
  }

  /** Stops everything and wakes every waiter. Idempotent; resolves when no process and, if asked, no file is left. */
  close({ removeFiles }: { removeFiles: boolean }): Promise<void> {
    this.#closing ??= this.#close(removeFiles);
    return this.#closing;
  }

  async #finish(): Promise<void> {
    this.#assertAlive();
    await this.#unlessFailed(this.#encoder.end());
    try {
      this.#packager.finish();
      await this.#store.flushed();
    } catch (cause) {
      this.#storingFailed(cause);
    }
    this.#assertAlive();
    this.#finished = true;
    this.#wake();
    await this.#encoder.close();
  }

  async #close(removeFiles: boolean): Promise<void> {
    // After this function's first await, `#closing` is set; waiters look at it when they run.
    this.#wake();
    await Promise.all([this.#encoder.close(), this.#download.close()]);
    if (removeFiles) await this.#store.remove();
    else await this.#store.flushed().catch(() => {});
  }

  #publish({ number, firstFrame, frames, parts }: Segment): void {
    const name = segmentName(number);
    this.#store
      .write(
        name,
        parts.map(({ bytes }) => bytes),
      )
      .then(
        () => {
          // RFC 8216bis 6.2.1: a segment is listed only when it can be had, and never changes afterwards.
          this.#segments.push({ number, uri: this.#uri(name), firstFrame, frames });
          this.#wake();
        },
        (error) => this.#storingFailed(error),
      );
  }

  #uri(name: string): string {
    const { edition } = this.#options;
    return edition === undefined ? name : `${name}?e=${edition}`;
  }

  #storingFailed(cause: unknown): void {
    if (this.#failure || this.#closing) return;
    this.#options.logger.error({ err: cause }, 'segments could not be stored');
    this.#fail(new AppError('internal', 'The stream could not be stored.', { cause }));
  }

  #fail(error: AppError): void {
    if (this.#failure || this.#closing) return;
    this.#failure = error;
    this.#wake();
    this.#encoder.close().catch((err) => this.#options.logger.warn({ err }, 'encoder not closed cleanly'));
    this.#options.onError?.(error);
  }

  /** A playlist without a segment would make players give up for good. @throws AppError always */
  #explainEmptiness(): never {
    if (this.#failure)
      throw new AppError('not_found', `The talk ended before its first segment: ${this.#failure.message}`);
    if (this.#finished) throw new AppError('not_found', 'Nothing was said in this talk.');
    throw new AppError('not_ready', 'The first segment is not ready yet.', { retryAfterSeconds: 1 });
  }

  #hasAnswer(): boolean {
    return this.#segments.length > 0 || this.#finished || this.#failure !== undefined || this.#closing !== undefined;
  }

  async #wait(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const done = () => {
        this.#waiters.delete(done);
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        if (signal?.aborted) reject(signal.reason);
        else resolve();
      };
      const timer = setTimeout(done, (this.#options.waitSeconds ?? 15) * 1000);
      this.#waiters.add(done);
      signal?.addEventListener('abort', done);
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }

  /** A failed stream closes its encoder: what failed first is what callers are told. */
  async #unlessFailed(work: Promise<void>): Promise<void> {
    await work.catch((error) => {
      throw this.#failure ?? error;
    });
  }

  #assertAlive(): void {
    if (this.#failure) throw this.#failure;
    if (this.#closing) throw new AppError('session_closed', 'The session was closed.');
  }
}

function pictureOf({ width, height, picture }: HlsStreamOptions): PictureSize {
  return picture ?? { width, height };
}
