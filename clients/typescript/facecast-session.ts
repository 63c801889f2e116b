import { cutRecording } from './audio-chunks.js';
import { type Bytes, blobOf, nameOf } from './bytes.js';
import { FacecastError, SERVICE_ERROR_CODES } from './facecast-error.js';
import { checkPcmType, isPcmType } from './pcm-type.js';
import type { RequestOptions, Transport } from './transport.js';

/** `waiting_for_audio` and `processing` alternate; `complete` and `error` are final. */
export type SessionState = 'waiting_for_audio' | 'processing' | 'complete' | 'error';

/** The service's word on a session. */
export interface SessionStatus {
  readonly session_id: string;
  readonly status: SessionState;
  /** Frames rendered so far, 25 a second. */
  readonly total_frames_generated: number;
  /** Samples at 16 kHz accepted, but not rendered yet. */
  readonly buffer_samples: number;
  /** What ended the session, when `status` is `error`. */
  readonly error: string | null;
  /** Seconds since 1970. */
  readonly created_at: number;
  readonly uptime_seconds: number;
}

/** The service's answer to a chunk of speech: it has been accepted and will be played. */
export interface FeedResult {
  readonly session_id: string;
  /** Samples at 16 kHz accepted, but not rendered yet. */
  readonly buffer_samples: number;
  /** Frames rendered so far, 25 a second. */
  readonly frames_generated: number;
  readonly session_status: SessionState;
  readonly message: string;
}

export interface FeedOptions {
  /** The talk ends after this chunk. Default false. */
  readonly final?: boolean;
  /** MIME type of the chunk; `audio/L16` says that it is headerless 16-bit little-endian mono PCM of the session's rate. */
  readonly contentType?: string;
  /** Name of the chunk; `.pcm` and `.raw` say the same. */
  readonly fileName?: string;
  /**
   * Place of the chunk in the talk, from 0, by which the service knows it again when it comes twice. Counted by the
   * session itself unless given.
   */
  readonly chunkIndex?: number;
  readonly signal?: AbortSignal;
}

/** How far `stream` has come. */
export interface StreamProgress {
  readonly sentChunks: number;
  readonly totalChunks: number;
  /** Seconds of speech accepted; undefined for compressed recordings. */
  readonly sentSeconds: number | undefined;
  /** Length of the recording in seconds; undefined for compressed recordings. */
  readonly totalSeconds: number | undefined;
  /** Frames rendered so far, 25 a second. */
  readonly framesGenerated: number;
  readonly status: SessionState;
}

export interface StreamOptions {
  /** `realtime` feeds as a speaker would, `full` as fast as the service takes it. Default `realtime`. */
  readonly pace?: 'realtime' | 'full';
  /** Length of a chunk in seconds, more than 0. Default 1. */
  readonly chunkSeconds?: number;
  /** Whether the talk ends with this recording. Default true. */
  readonly final?: boolean;
  /** MIME type of the recording; `audio/L16` says that it is headerless 16-bit little-endian mono PCM of the session's rate. */
  readonly contentType?: string;
  /** Name of the recording; `.pcm` and `.raw` say the same. */
  readonly fileName?: string;
  readonly onProgress?: (progress: StreamProgress) => void;
  readonly signal?: AbortSignal;
}

export interface WaitOptions {
  /** Seconds between two looks. Default 0.5. */
  readonly pollSeconds?: number;
  readonly onProgress?: (status: SessionStatus) => void;
  readonly signal?: AbortSignal;
}

/** What `init` answered. */
export interface SessionDescription {
  readonly id: string;
  readonly hlsPath: string;
  /** What the service assumed, in words. */
  readonly warnings: readonly string[];
  /** Inference window in seconds. */
  readonly chunkDuration: number | undefined;
  /** Rate of headerless PCM, Hz. */
  readonly audioSampleRate: number;
  /** Place of the next chunk; undefined where another client fed before, so that nobody here knows. */
  readonly nextChunkIndex: number | undefined;
}

const API = '/api/audio-driven/chunked';

/** One talk. `FacecastClient.init` opens it, `FacecastClient.attach` comes back to one that is open. */
export class FacecastSession {
  readonly id: string;
  /** Absolute URL of the live playlist, for any HLS player. It answers from the first segment on. */
  readonly hlsUrl: string;
  /** Absolute URL of the finished talk as one MP4. */
  readonly downloadUrl: string;
  readonly warnings: readonly string[];
  readonly chunkDuration: number | undefined;
  readonly audioSampleRate: number;
  readonly #transport: Transport;
  #nextChunkIndex: number | undefined;
  /** The chunk of which nobody knows whether it has arrived; another one under its number could be lost silently. */
  #unclear: UnclearChunk | undefined;
  /** Chunks go one after the other, so that a chunk that is refused leaves no gap behind. */
  #lastFeed: Promise<unknown> = Promise.resolve();

  constructor(transport: Transport, description: SessionDescription) {
    this.#transport = transport;
    this.id = description.id;
    this.hlsUrl = transport.url(description.hlsPath);
    this.downloadUrl = transport.url(`/api/hls/${encodeURIComponent(description.id)}/download`);
    this.warnings = description.warnings;
    this.chunkDuration = description.chunkDuration;
    this.audioSampleRate = description.audioSampleRate;
    this.#nextChunkIndex = description.nextChunkIndex;
  }

  /**
   * Hands over speech: a whole file of any kind the service knows, or a part that stands by itself. Calls queue up.
   * Safe to call again with the same chunk after a failure: it will not be played twice. Where a failure left open whether
   * the chunk has arrived (`network`, `timeout`, an aborted call), only the same chunk is taken next: the same object, with
   * the same `final`.
   * @param audio undefined only together with `final: true`
   * @throws FacecastError, for instance `invalid_audio`, `session_closed`, `session_lagging`, `chunk_unclear`; the session
   *   stays as it was
   */
  feed(audio: Bytes | undefined, options: FeedOptions = {}): Promise<FeedResult> {
    const turn = this.#lastFeed.then(() => this.#feed(audio, options));
    this.#lastFeed = turn.catch(() => undefined);
    return turn;
  }

  /** Ends the talk after what has been fed. */
  finish(options: { signal?: AbortSignal } = {}): Promise<FeedResult> {
    return this.feed(undefined, { ...options, final: true });
  }

  /**
   * Feeds a recording piece by piece. WAV and headerless PCM are cut into chunks; at pace `realtime` a chunk goes out
   * when the ones before it have played. Compressed files are sent whole (at most 10 MB).
   * A stream that broke off cannot be gone on with where it is unclear whether its last chunk has arrived; see `feed`.
   * @returns the service's answer to the last chunk
   * @throws FacecastError; the signal's reason
   */
  async stream(recording: Bytes, options: StreamOptions = {}): Promise<FeedResult> {
    const { pace = 'realtime', chunkSeconds = 1, final = true, onProgress, signal } = options;
    const audio = blobOf(recording, options.contentType);
    const fileName = options.fileName ?? nameOf(recording);
    checkPcmType(audio.type, this.audioSampleRate);
    const headerless = isPcmType(audio.type) || /\.(pcm|raw)$/i.test(fileName);
    const { chunks, totalSeconds } = await cutRecording(audio, {
      chunkSeconds,
      fileName,
      ...(headerless && { pcmSampleRate: this.audioSampleRate }),
    });
    const { clock } = this.#transport;
    const begin = clock.now();
    let sentSeconds = 0;
    let result: FeedResult | undefined;
    for (const [index, chunk] of chunks.entries()) {
      signal?.throwIfAborted();
      // Each wait is reckoned from the beginning: short delays are caught up, and none adds to the next.
      const early = begin + sentSeconds * 1000 - clock.now();
      if (pace === 'realtime' && early > 0) await clock.sleep(early, signal);
      const last = index === chunks.length - 1;
      result = await this.feed(chunk.audio, {
        final: final && last,
        fileName: chunk.fileName,
        ...(signal && { signal }),
      });
      sentSeconds += chunk.seconds ?? 0;
      onProgress?.({
        sentChunks: index + 1,
        totalChunks: chunks.length,
        sentSeconds: totalSeconds === undefined ? undefined : sentSeconds,
        totalSeconds,
        framesGenerated: result.frames_generated,
        status: result.session_status,
      });
    }
    if (!result) throw new FacecastError({ code: 'invalid_audio', detail: 'The recording holds no sound.' });
    return result;
  }

  /** What the session is doing. @throws FacecastError, for instance `session_not_found` */
  status(options: { signal?: AbortSignal } = {}): Promise<SessionStatus> {
    return this.#transport.json(`${API}/status/${encodeURIComponent(this.id)}`, options);
  }

  /**
   * Waits for the last frame. The talk must have been ended by a final chunk, or this waits for ever.
   * @throws FacecastError `session_failed` when the talk ended with an error; the signal's reason
   */
  async waitUntilComplete({ pollSeconds = 0.5, onProgress, signal }: WaitOptions = {}): Promise<SessionStatus> {
    for (;;) {
      const status = await this.status(signal ? { signal } : {});
      onProgress?.(status);
      if (status.status === 'complete') return status;
      if (status.status === 'error') {
        const detail = status.error ?? 'The session has ended with an error.';
        throw new FacecastError({ code: 'session_failed', detail });
      }
      await this.#transport.clock.sleep(pollSeconds * 1000, signal);
    }
  }

  /** The finished talk as MP4. @throws FacecastError, for instance `not_finished` */
  async download(options: { signal?: AbortSignal } = {}): Promise<Blob> {
    return this.#transport.send(this.downloadUrl, options, (response) => response.blob());
  }

  /**
   * Ends the session at once and removes its stream. A session that is gone already is no error.
   * @param options.maxAttempts tries, where it is not the client's number
   */
  async cleanup(options: { maxAttempts?: number; signal?: AbortSignal } = {}): Promise<void> {
    try {
      await this.#transport.json(`${API}/session/${encodeURIComponent(this.id)}`, { ...options, method: 'DELETE' });
    } catch (error) {
      if (!(error instanceof FacecastError && error.code === 'session_not_found')) throw error;
    }
  }

  async #feed(audio: Bytes | undefined, options: FeedOptions): Promise<FeedResult> {
    const { final = false, signal } = options;
    // What was never sent leaves nothing open.
    signal?.throwIfAborted();
    const index = options.chunkIndex ?? this.#nextChunkIndex;
    this.#refuseAnotherThanUnclear(audio, options);
    const request: RequestOptions = {
      method: 'POST',
      body: this.#feedForm(audio, index, options),
      repeatable: index !== undefined,
      signal,
    };
    try {
      const result = await this.#transport.json<FeedResult>(`${API}/feed`, request);
      if (index !== undefined) this.#nextChunkIndex = index + 1;
      this.#unclear = undefined;
      return result;
    } catch (error) {
      this.#unclear = index === undefined || isRefusal(error) ? undefined : { audio, final };
      throw error;
    }
  }

  #refuseAnotherThanUnclear(audio: Bytes | undefined, { final = false, chunkIndex }: FeedOptions): void {
    if (!this.#unclear || chunkIndex !== undefined) return;
    if (this.#unclear.audio === audio && this.#unclear.final === final) return;
    const detail = 'Nobody knows whether the chunk before this one has arrived. Feed that one again first.';
    throw new FacecastError({ code: 'chunk_unclear', detail });
  }

  #feedForm(audio: Bytes | undefined, index: number | undefined, options: FeedOptions): FormData {
    const body = new FormData();
    body.set('session_id', this.id);
    body.set('is_final_chunk', String(options.final ?? false));
    if (index !== undefined) body.set('chunk_index', String(index));
    if (audio) {
      const blob = blobOf(audio, options.contentType);
      checkPcmType(blob.type, this.audioSampleRate);
      body.set('audio_chunk', blob, options.fileName || nameOf(audio) || 'chunk');
    }
    return body;
  }
}

interface UnclearChunk {
  readonly audio: Bytes | undefined;
  readonly final: boolean;
}

/** Whether the service itself has answered, so that nothing was taken. */
function isRefusal(error: unknown): boolean {
  return error instanceof FacecastError && SERVICE_ERROR_CODES.some((code) => code === error.code);
}
