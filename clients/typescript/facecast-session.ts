import { cutRecording } from './audio-chunks.js';
import { type Bytes, blobOf, nameOf } from './bytes.js';
import { FacecastError, SERVICE_ERROR_CODES } from './facecast-error.js';
import { checkPcmType, isPcmType } from './pcm-type.js';
import { type EventsOptions, type SessionEvent, sessionEvents } from './session-events.js';
import type {
  FeedOptions,
  FeedResult,
  Interruption,
  SessionDescription,
  SessionStatus,
  StreamOptions,
  WaitOptions,
} from './session-types.js';
import { type SpeechOptions, SpeechSocket } from './speech-socket.js';
import type { RequestOptions, Transport } from './transport.js';

const API = '/api/audio-driven/chunked';

/** One talk. `FacecastClient.init` opens it, `FacecastClient.attach` comes back to one that is open. */
export class FacecastSession {
  readonly id: string;
  /** Absolute URL of the live playlist, for any HLS player. It answers from the first segment on. */
  hlsUrl: string;
  /** Absolute URL of the multivariant playlist, which says codecs, size and bit rate before the first segment is fetched. */
  multivariantUrl: string;
  /** Whether a clock makes the frames, and not the speech that is fed; undefined after `attach`. */
  readonly live: boolean | undefined;
  /** Absolute URL of the finished talk as one MP4. */
  downloadUrl: string;
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
    this.multivariantUrl = transport.url(description.multivariantPath);
    this.live = description.live;
    this.downloadUrl = transport.url(
      description.downloadPath ?? `/api/hls/${encodeURIComponent(description.id)}/download`,
    );
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

  /**
   * Opens a socket for speech that is made while it is said: PCM by the byte, or a browser's recording. For live sessions.
   * @throws FacecastError, for instance `not_live`, `session_not_found`, `session_closed` (another socket has the place, too),
   *   `no_websocket`; the signal's reason
   */
  openSpeech(options: SpeechOptions = {}): Promise<SpeechSocket> {
    return SpeechSocket.open(this.#transport, `${API}/stream/${encodeURIComponent(this.id)}`, options);
  }

  /**
   * Drops the speech that has not been heard yet, and closes the mouth. For live sessions. Sound that is on its way in a
   * `SpeechSocket` is not meant: that has an `interrupt` of its own.
   * @throws FacecastError, for instance `not_live`, `session_closed`
   */
  async interrupt(options: { signal?: AbortSignal } = {}): Promise<Interruption> {
    const body = new FormData();
    body.set('session_id', this.id);
    const request: RequestOptions = { ...options, method: 'POST', body };
    const answer = await this.#transport.json<{ dropped_seconds: number }>(`${API}/interrupt`, request);
    return { droppedSeconds: answer.dropped_seconds };
  }

  /**
   * What happens in the session, from the first `next` on, until it is closed. A connection that breaks is made anew, and what
   * happened meanwhile is told.
   * @throws FacecastError when the service cannot be reached any more, or knows no such session; the signal's reason
   */
  events(options: EventsOptions = {}): AsyncGenerator<SessionEvent, void, undefined> {
    return sessionEvents(this.#transport, `${API}/events/${encodeURIComponent(this.id)}`, options);
  }

  /** What the session is doing. @throws FacecastError, for instance `session_not_found` */
  async status(options: { signal?: AbortSignal } = {}): Promise<SessionStatus> {
    const status = await this.#transport.json<SessionStatus>(`${API}/status/${encodeURIComponent(this.id)}`, options);
    // Where addresses are signed, these are good for longer than those before.
    if (status.hls_url) this.hlsUrl = this.#transport.url(status.hls_url);
    if (status.multivariant_url) this.multivariantUrl = this.#transport.url(status.multivariant_url);
    if (status.download_url) this.downloadUrl = this.#transport.url(status.download_url);
    return status;
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
