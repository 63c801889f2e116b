import type { IncomingMessage } from 'node:http';
import type { Request, RequestHandler } from 'express';
import { ipKeyGenerator, MemoryStore, type Options } from 'express-rate-limit';
import { AppError } from '../errors.js';
import { type ApiKeys, keyOf } from './api-keys.js';

const MINUTE = 60_000;
/** Addresses of IPv6 are counted by the network that one customer commonly has. */
const IPV6_PREFIX_BITS = 56;

/**
 * Refuses who asks too often, by key and address: a key that is none of ours counts as no key, so that guessing keys is
 * limited, too.
 */
export class RateLimit {
  readonly #perMinute: number;
  readonly #keys: ApiKeys;
  readonly #what: string;
  readonly #counts = new MemoryStore();

  /**
   * @param perMinute requests a minute; 0: no limit
   * @param what is limited, in words for the caller
   */
  constructor(perMinute: number, keys: ApiKeys, what: string) {
    this.#perMinute = perMinute;
    this.#keys = keys;
    this.#what = what;
    this.#counts.init({ windowMs: MINUTE } as Options);
  }

  /** Counts one request. @throws AppError `rate_limited` */
  async count(key: string | undefined, address: string): Promise<void> {
    if (this.#perMinute === 0) return;
    const network = ipKeyGenerator(address, IPV6_PREFIX_BITS);
    const { totalHits, resetTime } = await this.#counts.increment(`${this.#keys.indexOf(key)}|${network}`);
    if (totalHits <= this.#perMinute) return;
    const seconds = Math.ceil(((resetTime?.getTime() ?? Date.now() + MINUTE) - Date.now()) / 1000);
    throw new AppError(
      'rate_limited',
      `At most ${this.#perMinute} ${this.#what} a minute are taken from one key and address.`,
      { retryAfterSeconds: Math.max(1, seconds) },
    );
  }
}

export function limitRate(limit: RateLimit): RequestHandler {
  return async (request: Request, _response, next) => {
    await limit.count(keyOf(request), request.ip ?? '');
    next();
  };
}

/**
 * The address of a client whose request did not come by Express, by the same rule as Express's `request.ip`.
 * @param trustedProxies reverse proxies in front; each has added one address to `X-Forwarded-For`, the nearest the last
 */
export function clientAddress({ headers, socket }: IncomingMessage, trustedProxies: number): string {
  const forwarded = [headers['x-forwarded-for'] ?? []].flat().join(',').split(',');
  const told = forwarded.map((address) => address.trim()).filter((address) => address !== '');
  const all = [socket.remoteAddress ?? '', ...told.reverse()];
  return all[Math.min(trustedProxies, all.length - 1)]!;
}
