import { STATUS_CODES } from 'node:http';
import type { ErrorRequestHandler, Response } from 'express';
import type { z } from 'zod';
import { AppError, type ErrorCode } from '../errors.js';
import type { Logger } from '../log.js';
import type { Instruments } from '../metrics/instruments.js';
import type { problem, Queue } from './answers.js';

/** What Express and its parts throw, by the status they put on it. */
const CODES_OF_EXPRESS: Readonly<Record<number, ErrorCode>> = {
  404: 'not_found',
  412: 'precondition_failed',
  416: 'range_not_satisfiable',
};

/** Headers of the answer that an error takes the place of. */
const HEADERS_OF_FILES = ['Accept-Ranges', 'Content-Disposition', 'ETag', 'Last-Modified'];

/** What handlers leave behind for this one. */
interface Locals {
  readonly requestId: string;
  readonly session?: string;
  /** What waits in the session that the request is about. */
  readonly queue?: () => Queue;
}

/** The only place where an error becomes an HTTP answer: RFC 9457 problem details with a stable `code`. */
export function errorHandler(logger: Logger, instruments?: Instruments): ErrorRequestHandler {
  return (thrown, request, response, next) => {
    // Nobody is there to be told, and a client that leaves is no fault.
    if (response.destroyed) return;
    const error = ofExpress(thrown) ?? AppError.from(thrown);
    const { requestId, session, queue } = response.locals as Locals;
    const { method, path } = request;
    // A probe that is told "not yet" was refused nothing, and asks again and again.
    const probing = /^\/health(\/|$)/i.test(path);
    if (!probing) instruments?.refusals.inc({ code: error.code });
    const facts = { code: error.code, requestId, session, method, path, cause: error.cause };
    if (error.code === 'internal') logger.error({ ...facts, err: error }, 'request failed');
    else logger[probing ? 'debug' : 'info']({ ...facts, detail: error.message }, 'request refused');
    if (response.headersSent) return next(thrown);
    answer(response, error, requestId, error.code === 'session_lagging' ? queue?.() : undefined);
  };
}

function answer(response: Response, error: AppError, requestId: string, queue: Queue | undefined): void {
  for (const name of HEADERS_OF_FILES) response.removeHeader(name);
  response.status(error.status).set('Cache-Control', 'no-store').type('application/problem+json');
  // RFC 9110 15.5.2: a 401 "MUST send a WWW-Authenticate header field".
  if (error.status === 401) response.set('WWW-Authenticate', 'Bearer realm="facecast"');
  if (error.retryAfterSeconds !== undefined) response.set('Retry-After', String(error.retryAfterSeconds));
  response.send(
    JSON.stringify({
      // RFC 9457 4.2.1: the title is then the status's phrase. What happened is told by `code`.
      type: 'about:blank',
      title: STATUS_CODES[error.status] ?? '',
      status: error.status,
      detail: error.code === 'internal' ? `${error.message} Look for request ${requestId} in the log.` : error.message,
      code: error.code,
      request_id: requestId,
      // RFC 9457 3.2: an extension, for who wants to know without reading.
      ...queue,
    } satisfies z.input<typeof problem>),
  );
}

/** Express and its body parsers throw plain errors with a `status`: below 500 they are the caller's doing. */
function ofExpress(thrown: unknown): AppError | undefined {
  if (thrown instanceof AppError || !(thrown instanceof Error) || !('status' in thrown)) return undefined;
  const status = Number(thrown.status);
  if (!(status >= 400 && status < 500)) return undefined;
  const code = CODES_OF_EXPRESS[status] ?? 'invalid_parameter';
  return new AppError(code, EXPLANATIONS[code] ?? 'The request could not be read.', { cause: thrown });
}

const EXPLANATIONS: Partial<Record<ErrorCode, string>> = {
  not_found: 'There is nothing at this address.',
  precondition_failed: 'The file is not the one that was asked for.',
  range_not_satisfiable: 'Range: it lies outside of the file.',
};
