import { FacecastError } from './facecast-error.js';

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
  /** Seconds without an answer after which a try has failed. Default 60. */
  readonly timeoutSeconds?: number;
  /** Called before every wait. */
  readonly onRetry?: (retry: Retry) => void;
  /** Replacement for the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** Replacement for the real time. */
  readonly clock?: Clock;
}

export interface RequestOptions {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly body?: FormData;
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

const FIRST_WAIT_SECONDS = 0.5;
const LONGEST_WAIT_SECONDS = 30;

/** Sends requests, again where that is safe, and turns every failure into a `FacecastError`. */
export class Transport {
  readonly clock: Clock;
  readonly #server: string;
  readonly #options: TransportOptions;

  /** @param server address of the service; a path in front of its own (a reverse proxy's) is kept */
  constructor(server: string | URL, options: TransportOptions) {
    this.#server = serverAddress(server);
    this.#options = options;
    this.clock = options.clock ?? systemClock;
  }

  /** Absolute URL of one of the service's paths. */
  url(path: string): string {
    return path.startsWith('/') ? this.#server + path : path;
  }

  /** @returns the body of a 2xx answer, parsed. @throws FacecastError; the signal's reason */
  async json<Body>(path: string, options: RequestOptions = {}): Promise<Body> {
    const response = await this.send(path, options);
    try {
      return (await response.json()) as Body;
    } catch (cause) {
      options.signal?.throwIfAborted();
      const detail = `${this.url(path)} did not answer in JSON. Is this a Facecast server?`;
      throw new FacecastError({ code: 'bad_response', detail, status: response.status, cause });
    }
  }

  /** @returns the first 2xx answer. @throws FacecastError of the last try; the signal's reason */
  async send(path: string, options: RequestOptions = {}): Promise<Response> {
    const maxAttempts = options.maxAttempts ?? this.#options.maxAttempts ?? 8;
    for (let attempt = 1; ; attempt++) {
      options.signal?.throwIfAborted();
      const outcome = await this.#try(path, options);
      if (outcome instanceof Response) return outcome;
      if (attempt >= maxAttempts || !mayRepeat(outcome, options.repeatable ?? true)) throw outcome;
      const backOff = FIRST_WAIT_SECONDS * 2 ** (attempt - 1);
      const waitSeconds = Math.min(outcome.retryAfterSeconds ?? backOff, LONGEST_WAIT_SECONDS);
      this.#options.onRetry?.({ error: outcome, attempt, waitSeconds });
      await this.clock.sleep(waitSeconds * 1000, options.signal);
    }
  }

  async #try(path: string, { method = 'GET', body, signal }: RequestOptions): Promise<Response | FacecastError> {
    const { fetch: send = fetch, timeoutSeconds = 60 } = this.#options;
    const timeout = AbortSignal.timeout(timeoutSeconds * 1000);
    try {
      const response = await send(this.url(path), {
        method,
        cache: 'no-store',
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        ...(body && { body }),
      });
      return response.ok ? response : await FacecastError.fromResponse(response);
    } catch (cause) {
      signal?.throwIfAborted();
      if (timeout.aborted) {
        const detail = `${this.url(path)} did not answer within ${timeoutSeconds} s.`;
        return new FacecastError({ code: 'timeout', detail, cause });
      }
      return new FacecastError({ code: 'network', detail: `${this.#server} cannot be reached.`, cause });
    }
  }
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
