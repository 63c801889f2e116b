import { type Bytes, blobOf, nameOf } from './bytes.js';
import { FacecastError, type FacecastErrorCode } from './facecast-error.js';
import { FacecastSession } from './facecast-session.js';
import { backOffSeconds, Transport, type TransportOptions } from './transport.js';

export type { Bytes } from './bytes.js';
export { FacecastError, type FacecastErrorCode } from './facecast-error.js';
export type { FacecastSession } from './facecast-session.js';
export type { EventsOptions, SessionEvent, SessionEventType } from './session-events.js';
export type {
  FeedOptions,
  FeedResult,
  Interruption,
  SessionState,
  SessionStatus,
  StreamOptions,
  StreamProgress,
  WaitOptions,
} from './session-types.js';
export type { SpeechOptions, SpeechSocket, SpeechStatus } from './speech-socket.js';
export type { Clock, Retry } from './transport.js';
export type { WebSocketConstructor, WebSocketLike } from './web-socket.js';

export type FacecastClientOptions = TransportOptions;

/** What `init` may be told. Everything that is left out is the service's default. */
export interface InitOptions {
  /** The session's id: a UUID or 8 to 64 of `A-Z a-z 0-9 _ -`. Default: a fresh UUID. */
  readonly sessionId?: string;
  /** Find the face and crop to it; false keeps the whole picture in the frame. Default true. */
  readonly crop?: boolean;
  /** Whole number; the same seed and the same input give the same frames. Default 42. */
  readonly seed?: number;
  /** 5 to 50: points of the motion generator's time grid per window; more is slower and smoother. Default 10. */
  readonly nfe?: number;
  /** 1 to 5: how strongly the speech drives the mouth. Default 2. */
  readonly cfgScale?: number;
  /**
   * A timeline that never stops: speech when there is some, silence and idle motion otherwise, as Low-Latency HLS. Default
   * false: the talk goes on by the speech that is fed, and by nothing else.
   */
  readonly live?: boolean;
  /** Keep the whole of a live talk, to be replayed and downloaded after its end. Default false. */
  readonly record?: boolean;
  /**
   * 0.1 to 10 seconds: inference window. Shorter answers sooner, longer sees more of the sentence. Default 1. In a live
   * session 0.2 to 2, default 0.32.
   */
  readonly chunkDuration?: number;
  /** 8000 to 192000 Hz: rate of headerless PCM. Default 24000. */
  readonly audioSampleRate?: number;
  /** Constant turn of the head `[pitch, yaw, roll]`, radians, each -1 to 1; + is chin down, to the viewer's right, clockwise. */
  readonly poseStyle?: readonly [pitch: number, yaw: number, roll: number];
  /** Constant direction of the eyes `[x, y]`, each -1 to 1; + is the viewer's right and down. */
  readonly gazeStyle?: readonly [x: number, y: number];
  /** Side of the video in pixels: 256, 512 or 720. Default: the model's own, 512. */
  readonly size?: number;
  /** Name of the picture, where it is not a `File`. */
  readonly fileName?: string;
  readonly signal?: AbortSignal;
}

/** The service's word on itself (`GET /health`). */
export interface ServiceHealth {
  readonly status: 'healthy';
  readonly model_pack: string;
  /** `cpu` or `cuda`. */
  readonly device: string;
  /** Size of a frame in pixels, frames per second. */
  readonly frame: { readonly width: number; readonly height: number; readonly fps: number };
  readonly sessions: { readonly open: number; readonly max: number };
  readonly uptime_seconds: number;
}

interface InitAnswer {
  readonly session_id: string;
  readonly hls_url: string;
  /** Missing, like the next one, where the service knows no live sessions yet. */
  readonly multivariant_url?: string;
  readonly download_url?: string;
  readonly live?: boolean;
  readonly chunk_duration: number;
  readonly audio_sample_rate: number;
  readonly warnings?: readonly string[];
}

/**
 * A client of the Facecast service for Node 20 and browsers, without dependencies.
 *
 *     const client = new FacecastClient('http://localhost:9999');
 *     const session = await client.init(portrait);            // a Blob, File or bytes
 *     console.log(session.hlsUrl);
 *     await session.stream(recording, { pace: 'realtime' });
 *     await session.waitUntilComplete();
 *     await session.cleanup();
 *
 * Requests that get no answer, or 429 or 503, are tried again: after `Retry-After` where the service says one, otherwise
 * after 0.5 s, 1 s, 2 s and so on, 8 tries in all.
 */
export class FacecastClient {
  readonly #transport: Transport;

  /** @param server address of the service; in a browser the default is where the page came from */
  constructor(server: string | URL = defaultServer(), options: FacecastClientOptions = {}) {
    this.#transport = new Transport(server, options);
  }

  /**
   * Opens a session with a portrait (PNG, JPEG or WebP, at least 64x64, at most 20 MB).
   * @throws FacecastError, for instance `face_not_found`, `invalid_image`, `too_many_sessions`; the signal's reason
   */
  async init(portrait: Bytes, options: InitOptions = {}): Promise<FacecastSession> {
    // An id of our own tells, after a lost answer, whether the session that is there is ours.
    const id = options.sessionId ?? newSessionId();
    const body = initForm(portrait, id, options);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#open(body, options);
      } catch (error) {
        const ours = options.sessionId === undefined && hasCode(error, 'session_exists');
        if (!ours) throw error;
        const session = new FacecastSession(this.#transport, {
          ...unknownSession(id, options.audioSampleRate),
          live: options.live ?? false,
          chunkDuration: options.chunkDuration ?? (options.live ? 0.32 : 1),
          nextChunkIndex: 0,
        });
        if (await this.#isOpen(session, options.signal)) return session;
        // The id is taken, but nothing is there: the service still works on the try that got no answer, and gives it up
        // if it has noticed that nobody waits for that.
        if (attempt >= this.#transport.maxAttempts) throw error;
        await this.#transport.clock.sleep(backOffSeconds(attempt) * 1000, options.signal);
      }
    }
  }

  /**
   * Comes back to a session that is open, without asking the service. Its chunks carry no `chunk_index`, for others
   * may have fed before, so a feed that got no answer is not repeated.
   * @param options.audioSampleRate rate of headerless PCM that the session was opened with, Hz; default 24000
   */
  attach(sessionId: string, options: { audioSampleRate?: number } = {}): FacecastSession {
    return new FacecastSession(this.#transport, unknownSession(sessionId, options.audioSampleRate));
  }

  /** Asks once whether the service is ready. @throws FacecastError `network`, `not_ready`, `draining` */
  health(options: { signal?: AbortSignal } = {}): Promise<ServiceHealth> {
    return this.#transport.json('/health', { ...options, maxAttempts: 1 });
  }

  async #open(body: FormData, { sessionId, signal }: InitOptions): Promise<FacecastSession> {
    const answer = await this.#transport.json<InitAnswer>('/api/audio-driven/chunked/init', {
      method: 'POST',
      body,
      // With the caller's id, "in use" would not tell whose it is.
      repeatable: sessionId === undefined,
      signal,
    });
    return new FacecastSession(this.#transport, {
      id: answer.session_id,
      hlsPath: answer.hls_url,
      multivariantPath: answer.multivariant_url ?? answer.hls_url,
      downloadPath: answer.download_url,
      live: answer.live ?? false,
      warnings: answer.warnings ?? [],
      chunkDuration: answer.chunk_duration,
      audioSampleRate: answer.audio_sample_rate,
      nextChunkIndex: 0,
    });
  }

  async #isOpen(session: FacecastSession, signal: AbortSignal | undefined): Promise<boolean> {
    try {
      await session.status(signal ? { signal } : {});
      return true;
    } catch (error) {
      if (hasCode(error, 'session_not_found')) return false;
      throw error;
    }
  }
}

function hasCode(error: unknown, code: FacecastErrorCode): boolean {
  return error instanceof FacecastError && error.code === code;
}

function defaultServer(): string {
  return globalThis.location?.origin ?? 'http://localhost:9999';
}

function unknownSession(id: string, audioSampleRate = 24000) {
  const folder = `/hls/${encodeURIComponent(id)}`;
  return {
    id,
    hlsPath: `${folder}/playlist.m3u8`,
    multivariantPath: `${folder}/multivariant.m3u8`,
    live: undefined,
    warnings: [],
    chunkDuration: undefined,
    audioSampleRate,
    nextChunkIndex: undefined,
  };
}

function initForm(portrait: Bytes, id: string, options: InitOptions): FormData {
  const body = new FormData();
  body.set('image', blobOf(portrait), options.fileName || nameOf(portrait) || 'portrait');
  const { live, record, crop, seed, nfe, cfgScale, chunkDuration, audioSampleRate, poseStyle, gazeStyle, size } =
    options;
  const fields = {
    session_id: id,
    live,
    record,
    crop,
    seed,
    nfe,
    cfg_scale: cfgScale,
    chunk_duration: chunkDuration,
    audio_sample_rate: audioSampleRate,
    pose_style: poseStyle && JSON.stringify(poseStyle),
    gaze_style: gazeStyle && JSON.stringify(gazeStyle),
    size,
  };
  for (const [field, value] of Object.entries(fields)) {
    if (value !== undefined) body.set(field, String(value));
  }
  return body;
}

/** A UUID, version 4. `crypto.randomUUID` is missing in pages that did not come over HTTPS. */
function newSessionId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
