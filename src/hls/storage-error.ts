import { AppError } from '../errors.js';

/** Whether a write failed because there is no room: it may succeed later. */
export function isDiskFull(cause: unknown): boolean {
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/**
 * What a caller is told when something could not be stored.
 * @param detail in words, for the case that the disk is not full
 */
export function storageError(cause: unknown, detail: string): AppError {
  if (!isDiskFull(cause)) return new AppError('internal', detail, { cause });
  return new AppError(
    'storage_full',
    'The disk that keeps the sessions is full. Nothing of this was taken; try again later.',
    {
      cause,
      retryAfterSeconds: 30,
    },
  );
}
