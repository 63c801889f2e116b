import type { Request, RequestHandler, Response } from 'express';
import type { Logger } from '../log.js';
import type { Instruments } from '../metrics/instruments.js';

const METHODS = new Set(['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS']);

/** Notes every request when it is over: one line of the log at `debug`, and the numbers for `/metrics`. */
export function recordRequests(logger: Logger, instruments: Instruments | undefined): RequestHandler {
  return (request, response, next) => {
    const began = performance.now();
    const { method, path } = request;
    response.once('close', () => {
      const status = response.writableFinished ? response.statusCode : 'gone';
      const seconds = (performance.now() - began) / 1000;
      const route = routeOf(request, path, status);
      const { requestId, session } = response.locals;
      // Not the whole URL: its query may hold a signature.
      logger.debug({ requestId, session, method, path, status, seconds }, 'request');
      instruments?.requests.inc({ route, method: METHODS.has(method) ? method : 'other', status });
      if (status !== 200) return;
      if (route.endsWith('/chunked/init')) instruments?.initSeconds.observe(seconds);
      if (route.endsWith('/chunked/feed')) instruments?.feedSeconds.observe(seconds);
    });
    next();
  };
}

/** The session that a request is about, for the log. */
export function noteSession(response: Response, id: string): void {
  response.locals.session = id;
}

/**
 * The pattern that a path was matched with: one of few, however many paths are asked for. Express forgets where a router is
 * mounted once an error has left it, so that is taken from the path: what is before the pattern's own segments.
 */
function routeOf({ route }: Request, path: string, status: number | 'gone'): string {
  const given = segments(path.toLowerCase());
  const patterns: string[] = [route?.path ?? []].flat();
  const matching = patterns.map(segments).filter((own) => endsWith(given, own));
  const own = matching.sort((one, other) => other.length - one.length)[0];
  if (!own) return typeof status === 'number' && status < 400 ? 'static' : 'none';
  return `/${[...given.slice(0, given.length - own.length), ...own].join('/')}`;
}

function endsWith(given: readonly string[], own: readonly string[]): boolean {
  const tail = given.slice(given.length - own.length);
  return given.length >= own.length && own.every((each, i) => each.startsWith(':') || each.toLowerCase() === tail[i]);
}

function segments(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '');
}
