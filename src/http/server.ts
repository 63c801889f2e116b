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

/** The service's server, whichever protocol it speaks. `upgrade` is emitted as by `node:http`. */
export interface HttpServer extends Server {
  /** Ends every connection at once, whatever is under way on it. */
  closeAllConnections(): void;
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
): HttpServer {
  if (!tls) return createServer(app);
  const overHttp2 = expressOverHttp2(app);
  const server = createSecureServer(
    {
      cert: tls.certificate,
      key: tls.key,
      allowHTTP1: true,
      settings: { initialWindowSize: WINDOW_BYTES, maxConcurrentStreams: MAX_STREAMS },
    },
    (request, response) => {
      // For a client of HTTP/1.1 they are the objects of `node:http`, which Express knows.
      if (request.httpVersionMajor === 2) overHttp2(request, response);
      else (app as unknown as typeof overHttp2)(request, response);
    },
  );
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
