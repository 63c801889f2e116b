import { AppError } from '../errors.js';

/** The answer to new sessions while the service starts. */
export function starting(): AppError {
  return new AppError('not_ready', 'The model is being loaded; try again shortly.', { retryAfterSeconds: 2 });
}

/** The answer to everything new while the service drains. */
export function shuttingDown(): AppError {
  return new AppError('draining', 'The service is shutting down.', { retryAfterSeconds: 10 });
}
