import type { IncomingMessage } from 'node:http';
import { AppError } from '../errors.js';
import { ApiKeys, keyInHeaders } from './api-keys.js';
import { Origins } from './origins.js';
import { clientAddress, RateLimit } from './rate-limits.js';

export interface SpeechDoorOptions {
  /** None: no key is asked for. */
  readonly apiKeys?: readonly string[];
  /** Origins whose pages may open a socket: `*`, or some separated by commas. Default `*`. */
  readonly corsOrigin?: string | undefined;
  /** Handshakes a minute from one key and address; 0, the default: no limit. */
  readonly requestsPerMinute?: number;
  /** Reverse proxies whose word on a client's address is taken. */
  readonly trustedProxies?: number;
}

/** Who may open a socket of speech: what `createApp` asks of a request, asked of a handshake. */
export class SpeechDoor {
  readonly #keys: ApiKeys;
  readonly #origins: Origins;
  readonly #limit: RateLimit;
  readonly #trustedProxies: number;

  constructor({ apiKeys = [], corsOrigin = '*', requestsPerMinute = 0, trustedProxies = 0 }: SpeechDoorOptions = {}) {
    this.#keys = new ApiKeys(apiKeys);
    this.#origins = new Origins(corsOrigin);
    this.#limit = new RateLimit(requestsPerMinute, this.#keys, 'sockets');
    this.#trustedProxies = trustedProxies;
  }

  /** @throws AppError `rate_limited`, `foreign_origin`, `unauthorized` */
  async check(request: IncomingMessage, query: URLSearchParams): Promise<void> {
    // Browsers cannot give their WebSockets headers.
    const key = keyInHeaders(request.headers) ?? query.get('api_key') ?? undefined;
    await this.#limit.count(key, clientAddress(request, this.#trustedProxies));
    const { origin, host } = request.headers;
    // CORS does not bind WebSockets: a page of any site may open one, and read it, unless it is refused here.
    if (!this.#origins.admit(origin, host)) {
      throw new AppError(
        'foreign_origin',
        'Origin: pages of this origin may not call this service; its operator lists those that may in CORS_ORIGIN.',
      );
    }
    this.#keys.check(key);
  }
}
