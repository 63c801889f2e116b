/** The service's stable error codes; `docs/api.md` explains each. */
export const SERVICE_ERROR_CODES = [
  'invalid_parameter',
  'invalid_image',
  'invalid_audio',
  'missing_file',
  'unauthorized',
  'invalid_signature',
  'foreign_origin',
  'session_not_found',
  'not_found',
  'method_not_allowed',
  'upload_timeout',
  'session_exists',
  'session_closed',
  'not_live',
  'chunk_missing',
  'not_finished',
  'precondition_failed',
  'image_too_large',
  'audio_too_large',
  'range_not_satisfiable',
  'face_not_found',
  'too_many_sessions',
  'session_lagging',
  'rate_limited',
  'internal',
  'not_ready',
  'draining',
  'gpu_memory_full',
  'overloaded',
  'storage_full',
] as const;

/**
 * The service's codes, and seven of the client's own: `network` (no answer), `timeout` (no answer in time),
 * `bad_response` (an answer that is not this service's), `session_failed` (the talk ended with an error),
 * `chunk_unclear` (the chunk before this one must be fed again first; see `FacecastSession.feed`), `no_websocket` (this
 * platform has none, and none was given) and `socket_closed` (the `SpeechSocket` was closed before).
 */
export type FacecastErrorCode =
  | (typeof SERVICE_ERROR_CODES)[number]
  | 'network'
  | 'timeout'
  | 'bad_response'
  | 'session_failed'
  | 'chunk_unclear'
  | 'no_websocket'
  | 'socket_closed';

/** What is known about a failure. */
export interface FacecastErrorInfo {
  readonly code: FacecastErrorCode;
  /** What was wrong, in words for a person. */
  readonly detail: string;
  /** HTTP status; 0 where the failure was not an HTTP answer. */
  readonly status?: number;
  /** Seconds after which the same request may succeed (the answer's `Retry-After`). */
  readonly retryAfterSeconds?: number | undefined;
  /** Finds the request in the service's log. */
  readonly requestId?: string | undefined;
  readonly cause?: unknown;
}

/** The only error the client throws, besides the reason of an `AbortSignal` that the caller gave. */
export class FacecastError extends Error {
  readonly code: FacecastErrorCode;
  readonly detail: string;
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;
  readonly requestId: string | undefined;

  constructor({ code, detail, status = 0, retryAfterSeconds, requestId, cause }: FacecastErrorInfo) {
    super(detail, { cause });
    this.name = 'FacecastError';
    this.code = code;
    this.detail = detail;
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
    this.requestId = requestId;
  }

  /** The error that an HTTP answer carries (RFC 9457 problem details, or at least its status). */
  static async fromResponse(response: Response): Promise<FacecastError> {
    const text = await response.text().catch(() => '');
    const problem = parseObject(text);
    const { code, detail, request_id: requestId } = problem;
    return new FacecastError({
      code: typeof code === 'string' ? (code as FacecastErrorCode) : 'bad_response',
      detail:
        typeof detail === 'string' && detail
          ? detail
          : `The server answered ${response.status}${response.statusText && ` ${response.statusText}`}.`,
      status: response.status,
      retryAfterSeconds: retryAfter(response.headers.get('Retry-After')),
      requestId: typeof requestId === 'string' ? requestId : (response.headers.get('X-Request-Id') ?? undefined),
    });
  }
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** RFC 9110 10.2.3: `Retry-After` is a number of seconds or a date. */
function retryAfter(value: string | null): number | undefined {
  if (!value) return undefined;
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
}
