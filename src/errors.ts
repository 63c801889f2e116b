/**
 * The closed set of error codes, each with the HTTP status it is answered with.
 * Codes are stable: clients may switch on them. `docs/api.md` documents each.
 */
export const ERROR_STATUS = {
  invalid_parameter: 400,
  invalid_image: 400,
  invalid_audio: 400,
  missing_file: 400,
  unauthorized: 401,
  invalid_signature: 403,
  foreign_origin: 403,
  session_not_found: 404,
  not_found: 404,
  method_not_allowed: 405,
  upload_timeout: 408,
  session_exists: 409,
  session_closed: 409,
  not_live: 409,
  chunk_missing: 409,
  not_finished: 409,
  precondition_failed: 412,
  image_too_large: 413,
  audio_too_large: 413,
  range_not_satisfiable: 416,
  face_not_found: 422,
  too_many_sessions: 429,
  session_lagging: 429,
  rate_limited: 429,
  internal: 500,
  not_ready: 503,
  gpu_memory_full: 503,
  overloaded: 503,
  storage_full: 507,
  draining: 503,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

/**
 * An error with a stable code. `detail` is for the person who called: what was wrong with which field, and what is
 * allowed. It must never carry a path, a stack trace or another program's output; those go into `cause`.
 */
export class AppError extends Error {
  readonly code: ErrorCode;
  /** Seconds after which the same request may succeed; answered as `Retry-After`. */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, detail: string, options: { cause?: unknown; retryAfterSeconds?: number } = {}) {
    super(detail, { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  get status(): number {
    return ERROR_STATUS[this.code];
  }

  /** Any thrown thing as an AppError: itself, or `internal` around it. */
  static from(thrown: unknown): AppError {
    if (thrown instanceof AppError) return thrown;
    return new AppError('internal', 'Something went wrong inside the service.', { cause: thrown });
  }
}
