import type { RequestHandler } from 'express';
import { Origins } from './origins.js';

/**
 * Lets pages of other origins in (Fetch Standard, 3.2), and answers their preflights. Credentials are never allowed: the service
 * has no cookies.
 * @param allowed `*`, or origins such as `https://example.org`, comma separated; one of those is answered with itself, any
 *   other with nothing
 */
export function cors(allowed: string): RequestHandler {
  const origins = new Origins(allowed);
  return (request, response, next) => {
    const origin = request.get('Origin');
    response.set('Access-Control-Expose-Headers', 'Retry-After, X-Request-Id');
    if (origins.any) response.set('Access-Control-Allow-Origin', '*');
    else {
      // Caches must not give one origin the answer that another one got, nor one without an origin's.
      response.vary('Origin');
      if (origins.has(origin)) response.set('Access-Control-Allow-Origin', origin);
    }
    if (request.method !== 'OPTIONS') return next();
    response
      .set({
        'Access-Control-Allow-Methods': 'GET, HEAD, POST, DELETE, OPTIONS',
        'Access-Control-Allow-Headers': request.get('Access-Control-Request-Headers') ?? '*',
        'Access-Control-Max-Age': '86400',
      })
      .sendStatus(204);
  };
}
