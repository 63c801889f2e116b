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
  /** Whether a clock makes the frames, and not the speech that is fed. */
  readonly live: boolean;
  /** Seconds of speech accepted, but not shown yet. */
  readonly queued_seconds: number;
  /** Seconds that the next frame is later than in real time; missing, like the addresses, where the service is older. */
  readonly lag_seconds?: number;
  readonly hls_url?: string;
  readonly multivariant_url?: string;
  readonly download_url?: string;
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
  readonly multivariantPath: string;
  /** undefined: where it usually is. */
  readonly downloadPath?: string | undefined;
  /** undefined where nobody here has opened it. */
  readonly live: boolean | undefined;
  /** What the service assumed, in words. */
  readonly warnings: readonly string[];
  /** Inference window in seconds. */
  readonly chunkDuration: number | undefined;
  /** Rate of headerless PCM, Hz. */
  readonly audioSampleRate: number;
  /** Place of the next chunk; undefined where another client fed before, so that nobody here knows. */
  readonly nextChunkIndex: number | undefined;
}

/** What an interruption has dropped. */
export interface Interruption {
  /** Seconds of speech that were accepted and will not be heard. */
  readonly droppedSeconds: number;
}
