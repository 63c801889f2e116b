import type { ErrorRequestHandler } from 'express';
import { AppError } from '../errors.js';
import type { Logger } from '../log.js';

/** Short names of the codes, RFC 9457's `title`: the same for every occurrence. */
const TITLES: Readonly<Record<number, string>> = {
  400: 'The request is not valid',
  404: 'Not found',
  409: 'The session is not in a state for this',
  413: 'The upload is too large',
  422: 'The picture cannot be animated',
  429: 'Too much at once',
  500: 'Internal error',
  503: 'The service is not available',
};

/** The only place where an error becomes an HTTP answer: RFC 9457 problem details with a stable `code`. */
export function errorHandler(logger: Logger): ErrorRequestHandler {
  return (thrown, request, response, next) => {
    const error = AppError.from(thrownByExpress(thrown) ?? thrown);
    const requestId = response.locals.requestId as string;
    if (error.status >= 500 && error.code === 'internal') {
      logger.error(
        { err: error, cause: error.cause, requestId, method: request.method, path: request.path },
        'request failed',
      );
    }
    if (response.headersSent) return next(thrown);
    response.status(error.status).set('Cache-Control', 'no-store').type('application/problem+json');
    if (error.retryAfterSeconds !== undefined) response.set('Retry-After', String(error.retryAfterSeconds));
    response.send(
      JSON.stringify({
        type: `urn:facecast:error:${error.code}`,
        title: TITLES[error.status],
        status: error.status,
        detail:
          error.code === 'internal' ? `${error.message} Look for request ${requestId} in the log.` : error.message,
        code: error.code,
        request_id: requestId,
      }),
    );
  };
}

/** Express and its body parsers throw plain errors with a `status`: below 500 they are the caller's doing. */
function thrownByExpress(thrown: unknown): AppError | undefined {
  if (thrown instanceof AppError || !(thrown instanceof Error) || !('status' in thrown)) return undefined;
  const status = Number(thrown.status);
  if (!(status >= 400 && status < 500)) return undefined;
  if (status === 404) return new AppError('not_found', 'There is nothing at this address.', { cause: thrown });
  return new AppError('invalid_parameter', 'The request could not be read.', { cause: thrown });
}
