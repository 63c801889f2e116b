import type { Request, Response } from 'express';
import type { z } from 'zod';
import type { Session } from '../session/session.js';
import type { SessionEvent } from '../session/session-events.js';
import type { eventData } from './answers.js';

/** A comment so often tells proxies, and us, that the connection lives. */
const HEARTBEAT_MILLISECONDS = 15_000;
/** Bytes that may wait for a listener who does not read; then the connection is given up, and he may come back. */
const MOST_WAITING_BYTES = 256 * 1024;

/**
 * What happens in a session, as server-sent events (HTML Living Standard, 9.2). Ends with the session; a listener who
 * comes back with `Last-Event-ID` is told what he has missed, as far as it is kept.
 */
export function sendEvents(session: Session, request: Request, response: Response): void {
  session.touch();
  const last = Number(request.get('Last-Event-ID') || Number.NaN);
  // Of a session that is over, all that is kept.
  const known = Number.isInteger(last) && last >= 0;
  // An id that was never given is of the time before the service was started anew: nothing since then is known to him.
  const missed = known && last > session.events.lastId ? 0 : last;
  const after = known ? missed : session.over ? 0 : session.events.lastId;
  if (session.over && after >= session.events.lastId) {
    // 9.2.3: "Clients will reconnect if the connection is closed; a client can be told to stop reconnecting using the
    // HTTP 204 No Content response code."
    response.sendStatus(204);
    return;
  }
  response.status(200).set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  // nginx would keep events back until it has a page of them.
  response.set('X-Accel-Buffering', 'no');
  response.flushHeaders();
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const write = (text: string) => {
    // Ended, but not all of it read: there is no 'close' until then, and a write would end the process.
    if (response.writableEnded) return;
    if (response.writableLength > MOST_WAITING_BYTES) response.destroy();
    else response.write(text);
  };
  // What browsers wait before they come back, milliseconds; and where they are, should they leave before the first event.
  write(`retry: 1000\nid: ${after}\n\n`);
  const unsubscribe = session.events.subscribe((event) => {
    write(`id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(inSnakeCase(event))}\n\n`);
    if (event.type !== 'closed') return;
    response.end();
    // Not at once: what is told again comes before there is a subscription to end.
    queueMicrotask(stop);
  }, after);
  const stop = () => {
    clearInterval(heartbeat);
    unsubscribe();
  };
  const heartbeat = setInterval(() => {
    // Of an answer that waits behind others on its connection, nobody is told that this is gone.
    if (response.writableEnded || request.socket.destroyed) return stop();
    session.touch();
    write(': still here\n\n');
  }, HEARTBEAT_MILLISECONDS);
  response.once('close', stop);
  if (session.over) response.end();
  if (response.writableEnded) stop();
}

function inSnakeCase({ type, at, frame, seconds, detail, droppedSeconds }: SessionEvent): z.input<typeof eventData> {
  return { type, at, frame, seconds, detail, dropped_seconds: droppedSeconds };
}
