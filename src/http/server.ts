import { createServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { Server, Socket } from 'node:net';
import type { Express } from 'express';
import { expressOverHttp2 } from './express-over-http2.js';
import type { TlsIdentity } from './tls-identity.js';

/**
 * What one client may have sent ahead of being read, on one request and on its connection: with the 64 KB that HTTP/2
 * begins with, an upload over a long way waits most of the time.
 */
const WINDOW_BYTES = 1024 * 1024;

/** Requests that one connection may have open; a player has a few, and waits on some of them. */
const MAX_STREAMS = 128;

/** A connection on which nothing happens for so long is closed, as HTTP/1.1's are after 5 s; the client may come again. */
const IDLE_MILLISECONDS = 120_000;

/** Time for the headers of a request; a connection that says nothing is closed by it, too. */
const HEADERS_MILLISECONDS = 15_000;
/** Time for a whole request: 20 MB at 0.6 Mbit/s. Uploads end a little earlier, with an answer. */
const REQUEST_MILLISECONDS = 300_000;
/** A connection of HTTP/1.1 on which nothing happens between two requests is closed. */
const KEEP_ALIVE_MILLISECONDS = 10_000;
/** How often those are looked for. */
const LOOK_MILLISECONDS = 5000;

/** The service's server, whichever protocol it speaks. `upgrade` is emitted as by `node:http`. */
export interface HttpServer extends Server {
  /** Ends every connection at once, whatever is under way on it. */
  closeAllConnections(): void;
}

export interface ServerLimits {
  /** Connections that may be open; more are closed as they come. Default: no limit. */
  readonly maxConnections?: number;
  readonly headersMilliseconds?: number;
  readonly lookMilliseconds?: number;
}

function bounded<S extends Server>(server: S, { maxConnections }: ServerLimits): S {
  if (maxConnections !== undefined) server.maxConnections = maxConnections;
  return server;
}

/**
 * The server for an application; it does not listen yet. With an identity it speaks TLS, and on that HTTP/2 or
 * HTTP/1.1, as the client chooses (RFC 7301, ALPN); WebSockets come by HTTP/1.1.
 * @param idleMilliseconds after which an HTTP/2 connection is closed on which nothing happens
 */
export function createHttpServer(
  app: Express,
  tls?: TlsIdentity,
  idleMilliseconds: number = IDLE_MILLISECONDS,
  limits: ServerLimits = {},
): HttpServer {
  const times = {
    headersTimeout: limits.headersMilliseconds ?? HEADERS_MILLISECONDS,
    requestTimeout: REQUEST_MILLISECONDS,
    keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
    connectionsCheckingInterval: limits.lookMilliseconds ?? LOOK_MILLISECONDS,
  };
  if (!tls) return bounded(createServer(times, app), limits);
  const overHttp2 = expressOverHttp2(app);
  const server = createSecureServer(
    {
      cert: tls.certificate,
      key: tls.key,
      allowHTTP1: true,
      handshakeTimeout: times.headersTimeout,
      ...times,
      settings: { initialWindowSize: WINDOW_BYTES, maxConcurrentStreams: MAX_STREAMS },
    },
    (request, response) => {
      // For a client of HTTP/1.1 they are the objects of `node:http`, which Express knows.
      if (request.httpVersionMajor === 2) overHttp2(request, response);
      else (app as unknown as typeof overHttp2)(request, response);
    },
  );
  bounded(server, limits);
  // Node takes this one of its HTTP/1.1 side from nowhere else.
  Object.assign(server, times);
  server.on('session', (session) => {
    session.setLocalWindowSize(WINDOW_BYTES);
    // Requests under way are still answered.
    session.setTimeout(idleMilliseconds, () => session.close());
  });
  // `node:http2` does not keep its connections.
  const connections = new Set<Socket>();
  server.on('secureConnection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  return Object.assign(server, {
    closeAllConnections: () => {
      for (const socket of connections) socket.destroy();
    },
  });
}
