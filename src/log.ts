import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/**
 * The service's logger: JSON lines on standard output. Messages are static, values go into fields, and neither a
 * portrait, nor audio, nor a tensor is ever one of them.
 */
export function createLogger(level: string): Logger {
  return pino({ level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime });
}
