import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/**
 * The service's logger: JSON lines on standard output. Messages are static, values go into fields, and neither a
 * portrait, nor audio, nor a tensor, nor a key is ever one of them. A line about a request has `requestId`, one about a session
 * has `session`, and what was thrown is in `err` or `cause`.
 */
export function createLogger(level: string, destination?: { write(line: string): void }): Logger {
  const options = {
    level,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: describe, cause: describe },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** Writes what is still to be written, before this returns. */
export function flushLog(logger: Logger): void {
  // pino's own `flush` does nothing for a stream that gathers no lines, though one may be on its way.
  (logger as Partial<Record<symbol, { flushSync?(): void }>>)[pino.symbols.streamSym]?.flushSync?.();
}

/**
 * What was thrown, in its words and places. Not its other properties, as pino's own way is: libraries hang what they were
 * given onto their errors, as body parsers do the body.
 */
function describe(thrown: unknown): unknown {
  if (typeof thrown === 'string' || thrown === undefined || thrown === null) return thrown;
  if (!(thrown instanceof Error)) return { type: typeof thrown };
  const { name, message, stack, cause } = thrown;
  const code = 'code' in thrown && /^\w+$/.test(String(thrown.code)) ? String(thrown.code) : undefined;
  return { type: name, code, message, stack, cause: cause === undefined ? undefined : describe(cause) };
}
