import type { Request, RequestHandler } from 'express';
import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { AppError } from '../errors.js';
import { type ApiKeys, keyOf } from './api-keys.js';

const MINUTE = 60_000;
/** Addresses of IPv6 are counted by the network that one customer commonly has. */
const IPV6_PREFIX_BITS = 56;

/**
 * Refuses who asks too often, by key and address: a key that is none of ours counts as no key, so that guessing keys is
 * limited, too.
 * @param perMinute requests a minute; 0: no limit
 * @param what is limited, in words for the caller
 */
export function limitRate(perMinute: number, keys: ApiKeys, what: string): RequestHandler {
  if (perMinute === 0) return (_request, _response, next) => next();
  return rateLimit({
    windowMs: MINUTE,
    limit: perMinute,
    keyGenerator: (request) => `${keys.indexOf(keyOf(request))}|${addressOf(request)}`,
    legacyHeaders: false,
    standardHeaders: false,
    // They would write to the console what TRUST_PROXY may mean.
    validate: false,
    handler: (request, _response, next) => {
      const reset = (request as Request & { rateLimit?: { resetTime?: Date } }).rateLimit?.resetTime;
      const seconds = Math.ceil(((reset?.getTime() ?? Date.now() + MINUTE) - Date.now()) / 1000);
      next(
        new AppError('rate_limited', `At most ${perMinute} ${what} a minute are taken from one key and address.`, {
          retryAfterSeconds: Math.max(1, seconds),
        }),
      );
    },
  });
}

function addressOf({ ip = '' }: Request): string {
  return ipKeyGenerator(ip, IPV6_PREFIX_BITS);
}
