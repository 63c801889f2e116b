import { FacecastError } from './facecast-error.js';

/** The part of a WebSocket that is needed: a browser's has it, and that of the package `ws`. */
export interface WebSocketLike {
  /** Bytes that were sent and are not on the network yet. */
  readonly bufferedAmount: number;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  // biome-ignore lint/suspicious/noExplicitAny: browsers and `ws` have events of their own, each with more than is read here
  addEventListener(type: 'open' | 'message' | 'close' | 'error', listener: (event: any) => void): void;
}

export type WebSocketConstructor = new (url: string) => WebSocketLike;

/** @throws FacecastError `no_websocket` where neither the caller nor the platform has one */
export function findWebSocket(given: WebSocketConstructor | undefined): WebSocketConstructor {
  const found = given ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;
  if (found) return found;
  throw new FacecastError({
    code: 'no_websocket',
    detail:
      'There is no WebSocket here (Node has one from 22 on): give the client one, { WebSocket } of the package "ws".',
  });
}
