import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Request } from 'express';
import { AppError } from '../errors.js';

/**
 * Makes addresses of streams that nobody can make up and that expire: `?exp=<seconds since 1970>&sig=<HMAC-SHA256>` over the
 * session's id and the expiry.
 */
export class UrlSigner {
  readonly #key: string;
  readonly #minutes: number;

  /** @param minutes how long an address is good for */
  constructor(key: string, minutes: number) {
    this.#key = key;
    this.#minutes = minutes;
  }

  /** What an address of a session's stream carries, without the question mark. */
  query(sessionId: string, now = Date.now()): string {
    const expiry = String(Math.floor(now / 1000 + this.#minutes * 60));
    return `exp=${expiry}&sig=${this.#signature(sessionId, expiry).toString('base64url')}`;
  }

  /**
   * @returns what the addresses in an answer to this request carry on
   * @throws AppError `invalid_signature`
   */
  check(sessionId: string, { exp, sig }: Request['query'], now = Date.now()): string {
    if (typeof exp !== 'string' || typeof sig !== 'string' || !/^\d{1,12}$/.test(exp)) {
      throw new AppError('invalid_signature', 'exp, sig: this address must be signed, as init and status give it.');
    }
    const given = Buffer.from(sig, 'base64url');
    const right = this.#signature(sessionId, exp);
    if (given.length !== right.length || !timingSafeEqual(given, right)) {
      throw new AppError('invalid_signature', 'sig: the signature does not belong to this stream and expiry.');
    }
    if (Number(exp) * 1000 <= now) {
      throw new AppError('invalid_signature', 'exp: the address has expired; status gives a fresh one.');
    }
    return `exp=${exp}&sig=${right.toString('base64url')}`;
  }

  #signature(sessionId: string, expiry: string): Buffer {
    return createHmac('sha256', this.#key).update(`${sessionId}\n${expiry}`).digest();
  }
}

/** A path with a query added to the one that it may have. */
export function withQuery(path: string, query: string | undefined): string {
  if (!query) return path;
  return `${path}${path.includes('?') ? '&' : '?'}${query}`;
}

/** A playlist whose URIs, those on lines of their own and those in tags, all carry a query on. */
export function playlistWithQuery(text: string, query: string | undefined): string {
  if (!query) return text;
  return text
    .split('\n')
    .map((line) => {
      if (line === '') return line;
      if (!line.startsWith('#')) return withQuery(line, query);
      return line.replace(/\bURI="([^"]*)"/, (_all, uri: string) => `URI="${withQuery(uri, query)}"`);
    })
    .join('\n');
}
