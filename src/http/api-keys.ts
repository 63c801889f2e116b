import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Request, RequestHandler } from 'express';
import { AppError } from '../errors.js';

/**
 * The keys that open the API. Only their hashes are kept, and a given key is compared with all of them in constant time: how
 * long that takes tells nothing about any key.
 */
export class ApiKeys {
  readonly #hashes: readonly Buffer[];

  /** @param keys none: everybody may come in */
  constructor(keys: readonly string[]) {
    this.#hashes = keys.map(hash);
  }

  /** Number of the key from 0 on, -1 where it is none of ours. */
  indexOf(key: string | undefined): number {
    if (key === undefined) return -1;
    const given = hash(key);
    return this.#hashes.reduce((found, known, i) => (timingSafeEqual(known, given) ? i : found), -1);
  }

  /** @throws AppError `unauthorized` */
  check(key: string | undefined): void {
    if (this.#hashes.length === 0 || this.indexOf(key) >= 0) return;
    throw new AppError(
      'unauthorized',
      key === undefined
        ? 'This service asks for an API key, as Authorization: Bearer or X-API-Key.'
        : 'The API key is none that this service knows.',
    );
  }
}

/** The key in a request's headers: `Authorization: Bearer` (RFC 6750 2.1) or `X-API-Key`. */
export function keyInHeaders(headers: IncomingHttpHeaders): string | undefined {
  const bearer = /^bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  const own = headers['x-api-key'];
  return bearer ?? (typeof own === 'string' && own !== '' ? own : undefined);
}

/**
 * The key of a request. `EventSource` cannot send headers, so `?api_key=` counts where events are asked for, and nowhere else: an
 * address is written down in many places that a header is not.
 */
export function keyOf(request: Request): string | undefined {
  const { api_key: inQuery } = request.query;
  const mayBeInQuery = typeof inQuery === 'string' && request.method === 'GET' && /\/events\/[^/]+$/.test(request.path);
  return keyInHeaders(request.headers) ?? (mayBeInQuery ? inQuery : undefined);
}

/** Lets nobody through without a key, before anything of the body is read. */
export function requireApiKey(keys: ApiKeys): RequestHandler {
  return (request, _response, next) => {
    keys.check(keyOf(request));
    next();
  };
}

function hash(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
