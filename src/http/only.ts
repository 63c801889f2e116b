import type { RequestHandler } from 'express';
import { AppError } from '../errors.js';

/** Answers the methods that an address does not know. */
export function only(methods: string): RequestHandler {
  return (_request, response) => {
    response.set('Allow', methods);
    throw new AppError('method_not_allowed', `This address takes ${methods} only.`);
  };
}
