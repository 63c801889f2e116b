import { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import express, { type Express } from 'express';

/**
 * The same application for requests that come by HTTP/2.
 *
 * Express gives every request and response prototypes of its own that stand on those of HTTP/1, which takes the members of
 * HTTP/2's away. So here is a second view of the application, whose prototypes have what Express adds, on top of
 * HTTP/2's. Routes, middleware and settings are the application's own.
 */
export function expressOverHttp2(app: Express): (request: Http2ServerRequest, response: Http2ServerResponse) => void {
  const view: { handle(request: object, response: object): void } = Object.create(app);
  const application = { configurable: true, writable: true, value: view };
  Object.defineProperty(view, 'request', {
    value: Object.create(onTopOf(Http2ServerRequest.prototype, express.request), { app: application }),
  });
  Object.defineProperty(view, 'response', {
    value: Object.create(onTopOf(Http2ServerResponse.prototype, express.response), {
      app: application,
      // Streams have it, and so do the responses of HTTP/1.
      destroyed: { configurable: true, get: isDestroyed },
      writableFinished: { configurable: true, get: isFinished },
    }),
  });
  return (request, response) => {
    completeHeaders(request);
    view.handle(request, response);
  };
}

/** What Express adds to a prototype of HTTP/1, on another one. */
function onTopOf(prototype: object, additions: object): object {
  return Object.create(prototype, Object.getOwnPropertyDescriptors(additions));
}

function isDestroyed(this: Http2ServerResponse): boolean {
  return this.stream?.destroyed ?? true;
}

/**
 * Whether the whole answer has gone out. When a client closes its stream without an error, Node ends our side too, and
 * `node:http2` then calls an answer finished that was never given.
 */
function isFinished(this: Http2ServerResponse): boolean {
  return this.writableEnded && (this.stream?.writableFinished ?? false);
}

/** Adds the headers that HTTP/1 would have had, because Express and what reads bodies for it look for these. */
function completeHeaders(request: Http2ServerRequest): void {
  const { headers, stream } = request;
  // RFC 9113 8.3.1: an intermediary that makes an HTTP/1.1 request must create a Host header from `:authority`.
  headers.host ??= request.authority;
  // RFC 9112 6.3: a request with neither has no body. RFC 9113 8.1: in HTTP/2 the frames say where it ends.
  if (!stream.endAfterHeaders && headers['content-length'] === undefined) headers['transfer-encoding'] = 'chunked';
}
