import type { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { type WebSocket, WebSocketServer } from 'ws';
import { AppError } from '../errors.js';
import type { Logger } from '../log.js';
import type { Instruments } from '../metrics/instruments.js';
import { shuttingDown } from '../session/session-registry.js';
import { requestIdOf } from './request-id.js';
import { SpeechConnection, type SpokenSession, type SpokenSessions } from './speech-connection.js';
import { SpeechDoor } from './speech-door.js';
import { closeCode, closeReason, parseAddress } from './speech-messages.js';

const PATH = /^\/api\/audio-driven\/chunked\/stream\/([^/]+)$/;
/** One message: 22 s of 16-bit sound at 24 kHz. */
const MAX_MESSAGE_BYTES = 1024 * 1024;
/** Seconds of speech queued in a session above which its client is asked to wait. */
const HIGH_WATER_SECONDS = 10;

export interface SpeechSocketOptions {
  /** Speech that may wait in a session; a client is asked to wait at half of it at the latest. */
  readonly maxQueuedSeconds?: number;
  /** Between two pings; a client that has not answered one by the next is dropped. Default 15 s. */
  readonly pingMilliseconds?: number;
  /** Between two words on the session while sound arrives. Default 1 s. */
  readonly statusMilliseconds?: number;
  readonly instruments?: Instruments | undefined;
  /** Who may open a socket, and how often; absent: everybody, always. */
  readonly door?: SpeechDoor | undefined;
}

export interface SpeechSockets {
  /** Ends all sockets at once; what they brought is not waited for. */
  close(): void;
}

/**
 * Takes speech by WebSocket (RFC 6455) at `/api/audio-driven/chunked/stream/:session_id?format=pcm|webm`; `docs/api.md` is
 * the contract. A client that cannot be served is told why in a message and by the close code, for browsers do not show the
 * answer to a handshake. One socket a session at a time.
 * @param server an `http.Server`, or an `http2` one that takes HTTP/1.1
 * @param sessions throws AppError `not_ready` while there are none
 */
export function attachSpeechSocket(
  server: EventEmitter,
  sessions: () => SpokenSessions,
  logger: Logger,
  options: SpeechSocketOptions = {},
): SpeechSockets {
  const webSockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false });
  const { instruments, door = new SpeechDoor() } = options;
  const open = new WeakMap<SpokenSession, SpeechConnection>();

  const serve = (socket: WebSocket, sessionId: string, query: URLSearchParams, requestId: string) => {
    const found = find(sessions, sessionId, query);
    const earlier = open.get(found.session);
    if (earlier && !earlier.closing) {
      throw new AppError('session_closed', 'Another socket brings speech to this session; close that one first.');
    }
    const connection = new SpeechConnection({
      ...found,
      socket,
      highWaterSeconds: Math.min(HIGH_WATER_SECONDS, (options.maxQueuedSeconds ?? Number.POSITIVE_INFINITY) / 2),
      after: earlier?.done,
      pingMilliseconds: options.pingMilliseconds ?? 15_000,
      statusMilliseconds: options.statusMilliseconds ?? 1000,
      logger: logger.child({ session: found.id, requestId }),
    });
    open.set(found.session, connection);
    instruments?.speechSockets.inc();
    socket.once('close', () => instruments?.speechSockets.dec());
  };

  const tellRefusal = (error: AppError, requestId: string, sessionId: string) => {
    const { code, message: detail, cause } = error;
    instruments?.refusals.inc({ code });
    logger.info({ code, requestId, session: sessionId.slice(0, 64), detail, cause }, 'speech socket refused');
  };

  const letIn = async (request: IncomingMessage, socket: Duplex, head: Buffer, address: URL, sessionId: string) => {
    const requestId = requestIdOf(request.headers['x-request-id']);
    // Until the WebSocket takes it over, nobody else listens.
    const broken = () => socket.destroy();
    socket.on('error', broken);
    try {
      await door.check(request, address.searchParams);
    } catch (thrown) {
      const error = AppError.from(thrown);
      tellRefusal(error, requestId, sessionId);
      return refuse(socket, error, requestId);
    }
    socket.off('error', broken);
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      try {
        serve(webSocket, sessionId, address.searchParams, requestId);
      } catch (thrown) {
        const error = AppError.from(thrown);
        tellRefusal(error, requestId, sessionId);
        webSocket.on('error', () => {});
        webSocket.send(JSON.stringify({ type: 'error', code: error.code, detail: error.message }));
        webSocket.close(closeCode(error), closeReason(error.message));
      }
    });
  };

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (request.headers.upgrade?.toLowerCase() !== 'websocket')
      return answerWithoutUpgrade(server, request, socket, head);
    const address = addressOf(request);
    const sessionId = PATH.exec(address?.pathname ?? '')?.[1];
    if (address && sessionId) letIn(request, socket, head, address, sessionId);
    else refuse(socket, new AppError('not_found', 'There is no WebSocket at this address.'));
  });

  return {
    close: () => {
      for (const socket of webSockets.clients) socket.terminate();
    },
  };
}

/** @throws AppError why this session cannot be spoken to */
function find(sessions: () => SpokenSessions, sessionId: string, query: URLSearchParams) {
  const address = parseAddress(sessionId, query);
  const all = sessions();
  if (all.draining) throw shuttingDown();
  const session = all.get(address.id);
  if (!session.live) {
    throw new AppError('not_live', 'Only a live session takes speech by WebSocket: init it with live=true.');
  }
  if (session.over) throw new AppError('session_closed', session.error ?? 'The session has ended.');
  return { ...address, session, sessions: all };
}

function addressOf(request: IncomingMessage): URL | undefined {
  const base = 'http://localhost';
  return URL.canParse(request.url ?? '', base) ? new URL(request.url ?? '', base) : undefined;
}

/** Answers a handshake that is none of ours (RFC 9457). */
function refuse(socket: Duplex, error: AppError, requestId?: string): void {
  const { status, code, message: detail, retryAfterSeconds } = error;
  const title = STATUS_CODES[status];
  const body = JSON.stringify({ type: 'about:blank', title, status, detail, code, request_id: requestId });
  socket.on('error', () => {});
  socket.end(
    [
      `HTTP/1.1 ${status} ${title}`,
      'Connection: close',
      'Cache-Control: no-store',
      'Content-Type: application/problem+json',
      ...(status === 401 ? ['WWW-Authenticate: Bearer realm="facecast"'] : []),
      ...(retryAfterSeconds === undefined ? [] : [`Retry-After: ${retryAfterSeconds}`]),
      `Content-Length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
  );
}

/**
 * A request may offer any other protocol, as curl and Java's client offer HTTP/2, and is to be served without (RFC 9110
 * 7.8). But Node, once it knows that somebody listens for upgrades, gives up on all that ask for one: so this one is put back
 * without its offer, and read again.
 */
function answerWithoutUpgrade(server: EventEmitter, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    if (request.rawHeaders[i].toLowerCase() !== 'upgrade') {
      lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    }
  }
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
  server.emit(socket instanceof TLSSocket ? 'secureConnection' : 'connection', socket);
}
