import { FacecastError } from './facecast-error.js';
import { findWebSocket, type WebSocketConstructor, type WebSocketLike } from './web-socket.js';

/** The time, as the client sees it. Tests put in their own. */
export interface Clock {
  /** Milliseconds, from any origin. */
  now(): number;
  /** Resolves after `milliseconds`. @throws the signal's reason, as soon as it aborts */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** A request that was not answered, or refused for now, and will be tried again. */
export interface Retry {
  readonly error: FacecastError;
  /** Tries so far. */
  readonly attempt: number;
  /** Seconds until the next try. */
  readonly waitSeconds: number;
}

export interface TransportOptions {
  /** Tries per request, the first one included. Default 8. */
  readonly maxAttempts?: number;
  /**
   * Seconds without an answer after which a try has failed. Default 60. Uploads have more, at 100 kB/s; once an answer
   * has begun, it may take as long as it likes.
   */
  readonly timeoutSeconds?: number;
  /** Key of a service that asks for one; or what gives it, asked at every request. */
  readonly apiKey?: string | (() => string | undefined);
  /** Called before every wait. */
  readonly onRetry?: (retry: Retry) => void;
  /** Replacement for the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** What `openSpeech` connects with, where there is no global `WebSocket`: Node 20 has none, the package `ws` does. */
  readonly WebSocket?: WebSocketConstructor;
  /** Replacement for the real time. */
  readonly clock?: Clock;
}

export interface RequestOptions {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly body?: FormData;
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Whether the request may be sent again when nobody knows whether the first one arrived. Refusals (429, 503) changed
   * nothing and are tried again in any case. Default true.
   */
  readonly repeatable?: boolean;
  /** Tries of this request, where it is not `TransportOptions.maxAttempts`. */
  readonly maxAttempts?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** "Later, please": nothing was done. */
const REFUSED_FOR_NOW = new Set([429, 503]);
/** A gateway's word for "no answer": what was done is unknown. */
const NO_ANSWER = new Set([502, 504]);

const DEFAULT_MAX_ATTEMPTS = 8;
const DEFAULT_TIMEOUT_SECONDS = 60;
const FIRST_WAIT_SECONDS = 0.5;
const LONGEST_WAIT_SECONDS = 30;
/** An upload slower than this counts as stuck. */
const SLOWEST_UPLOAD_BYTES_PER_SECOND = 100_000;

/** Seconds to wait after so many tries, where the service does not say. */
export function backOffSeconds(attempt: number): number {
  return Math.min(FIRST_WAIT_SECONDS * 2 ** (attempt - 1), LONGEST_WAIT_SECONDS);
}

/** Sends requests, again where that is safe, and turns every failure into a `FacecastError`. */
export class Transport {
  readonly clock: Clock;
  readonly maxAttempts: number;
  /** Seconds without an answer after which a try has failed. */
  readonly timeoutSeconds: number;
  readonly #server: string;
  readonly #options: TransportOptions;

  /** @param server address of the service; a path in front of its own (a reverse proxy's) is kept */
  constructor(server: string | URL, options: TransportOptions) {
    this.#server = serverAddress(server);
    this.#options = options;
    this.clock = options.clock ?? systemClock;
    this.maxAttempts = options.maxAttempts ?? DEFAULT_MAX_ATTEMPTS;
    this.timeoutSeconds = options.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS;
  }

  /** Absolute URL of one of the service's paths. */
  url(path: string): string {
    return path.startsWith('/') ? this.#server + path : path;
  }

  /**
   * Begins to connect a WebSocket to one of the service's paths.
   * @throws FacecastError `no_websocket`
   */
  webSocket(path: string): WebSocketLike {
    const Constructor = findWebSocket(this.#options.WebSocket);
    const url = new URL(this.url(path).replace(/^http/, 'ws'));
    // A browser's WebSocket sends no headers.
    const key = this.#apiKey();
    if (key !== undefined) url.searchParams.set('api_key', key);
    return new Constructor(url.href);
  }

  /** @returns the body of the first 2xx answer, parsed. @throws FacecastError; the signal's reason */
  async json<Body>(path: string, options: RequestOptions = {}): Promise<Body> {
    const text = await this.send(path, options, (response) => response.text());
    try {
      return JSON.parse(text) as Body;
    } catch (cause) {
      const detail = `${this.url(path)} did not answer in JSON. Is this a Facecast server?`;
      throw new FacecastError({ code: 'bad_response', detail, status: 200, cause });
    }
  }

  /**
   * @param read takes what is wanted of a 2xx answer; an answer that breaks off is as good as none
   * @returns what `read` gave
   * @throws FacecastError of the last try; the signal's reason
   */
  async send<Body>(path: string, options: RequestOptions, read: (response: Response) => Promise<Body>): Promise<Body> {
    const maxAttempts = options.maxAttempts ?? this.maxAttempts;
    for (let attempt = 1; ; attempt++) {
      options.signal?.throwIfAborted();
      try {
        return await this.#try(path, options, read);
      } catch (error) {
        const again = error instanceof FacecastError && mayRepeat(error, options.repeatable ?? true);
        if (!again || attempt >= maxAttempts) throw error;
        const waitSeconds = error.retryAfterSeconds ?? backOffSeconds(attempt);
        this.#options.onRetry?.({ error, attempt, waitSeconds });
        await this.clock.sleep(waitSeconds * 1000, options.signal);
      }
    }
  }

  #apiKey(): string | undefined {
    const { apiKey } = this.#options;
    return typeof apiKey === 'function' ? apiKey() : apiKey;
  }

  async #try<Body>(
    path: string,
    { method = 'GET', body, headers, signal }: RequestOptions,
    read: (response: Response) => Promise<Body>,
  ): Promise<Body> {
    const { fetch: send = fetch } = this.#options;
    const key = this.#apiKey();
    const timeoutSeconds = this.timeoutSeconds + uploadBytes(body) / SLOWEST_UPLOAD_BYTES_PER_SECOND;
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), timeoutSeconds * 1000);
    try {
      const response = await send(this.url(path), {
        method,
        cache: 'no-store',
        signal: signal ? AbortSignal.any([signal, timeout.signal]) : timeout.signal,
        ...(body && { body }),
        headers: { ...(key !== undefined && { Authorization: `Bearer ${key}` }), ...headers },
      });
      clearTimeout(timer);
      if (!response.ok) throw await FacecastError.fromResponse(response);
      return await read(response);
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof FacecastError) throw cause;
      if (timeout.signal.aborted) {
        const detail = `${this.url(path)} did not answer within ${Math.ceil(timeoutSeconds)} s.`;
        throw new FacecastError({ code: 'timeout', detail, cause });
      }
      throw new FacecastError({ code: 'network', detail: `${this.#server} cannot be reached.`, cause });
    } finally {
      clearTimeout(timer);
    }
  }
}

function uploadBytes(body: FormData | undefined): number {
  let bytes = 0;
  for (const value of body?.values() ?? []) if (value instanceof Blob) bytes += value.size;
  return bytes;
}

function mayRepeat({ status, code }: FacecastError, repeatable: boolean): boolean {
  if (REFUSED_FOR_NOW.has(status)) return true;
  return repeatable && (NO_ANSWER.has(status) || code === 'network' || code === 'timeout');
}

function serverAddress(server: string | URL): string {
  const { origin, pathname } = new URL(server);
  return origin + pathname.replace(/\/+$/, '');
}

const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const stop = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', stop);
        resolve();
      }, milliseconds);
      signal?.addEventListener('abort', stop, { once: true });
    }),
};
