import type { NextFunction, Request, RequestHandler, Response } from 'express';
import multer, { MulterError } from 'multer';
import { AppError, type ErrorCode } from '../errors.js';

const MEGABYTE = 1024 * 1024;

/** The portrait of `init`: at most 20 MB. */
export const receiveImage = receive('image', 20, 'image_too_large');

/** A chunk of speech of `feed`: at most 10 MB. */
export const receiveAudio = receive('audio_chunk', 10, 'audio_too_large');

/** Reads a form with at most one file into memory, and no byte more than allowed. */
function receive(field: string, megabytes: number, tooLarge: ErrorCode): RequestHandler {
  const parse = multer({
    storage: multer.memoryStorage(),
    limits: { fileSize: megabytes * MEGABYTE, files: 1, fields: 32, fieldSize: 64 * 1024, parts: 33, headerPairs: 32 },
  }).single(field);
  return (request: Request, response: Response, next: NextFunction) => {
    parse(request, response, (error: unknown) => {
      if (!error) next();
      else next(explain(error, field, megabytes, tooLarge));
    });
  };
}

function explain(error: unknown, field: string, megabytes: number, tooLarge: ErrorCode): AppError {
  if (error instanceof MulterError && error.code === 'LIMIT_FILE_SIZE') {
    return new AppError(tooLarge, `${field}: the file is larger than ${megabytes} MB.`, { cause: error });
  }
  if (error instanceof MulterError && error.code === 'LIMIT_UNEXPECTED_FILE') {
    return new AppError('invalid_parameter', `${error.field}: a file is only taken in the field ${field}.`, {
      cause: error,
    });
  }
  if (error instanceof MulterError && error.code === 'LIMIT_FILE_COUNT') {
    return new AppError('invalid_parameter', `${field}: only one file is taken.`, { cause: error });
  }
  // Anything else is the form itself: too many fields, a broken boundary, an upload that ended half-way.
  return new AppError('invalid_parameter', 'The multipart form could not be read.', { cause: error });
}
