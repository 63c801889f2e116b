import { v4 as newUuid } from 'uuid';

/**
 * The id under which a request is found in the log: the caller's own `X-Request-Id` where it is plain (at most 64 letters,
 * digits, dots, dashes and underscores, so that it cannot forge a line of the log), a fresh one otherwise.
 */
export function requestIdOf(header: string | string[] | undefined): string {
  return typeof header === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(header) ? header : newUuid();
}
