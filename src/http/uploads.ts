import type { NextFunction, Request, RequestHandler, Response } from 'express';
import multer, { MulterError } from 'multer';
import { AppError, type ErrorCode } from '../errors.js';

const MEGABYTE = 1024 * 1024;

/** The largest files that are taken. */
export const IMAGE_MEGABYTES = 20;
export const AUDIO_MEGABYTES = 10;

/** The portrait of `init`. */
export const receiveImage = receive('image', IMAGE_MEGABYTES, 'image_too_large');

/** A chunk of speech of `feed`. */
export const receiveAudio = receive('audio_chunk', AUDIO_MEGABYTES, 'audio_too_large');

/** A form that holds no file. */
export const receiveNoFile: RequestHandler = (request, response, next) => {
  multer({ limits: { fields: 32, fieldSize: 64 * 1024, parts: 33, headerPairs: 32 } }).none()(
    request,
    response,
    (error: unknown) => (error ? next(explain(error)) : next()),
  );
};

/** Reads a form with at most one file into memory, and no byte more than allowed. */
function receive(field: string, megabytes: number, tooLarge: ErrorCode): RequestHandler {
  const parse = multer({
    storage: multer.memoryStorage(),
    limits: { fileSize: megabytes * MEGABYTE, files: 1, fields: 32, fieldSize: 64 * 1024, parts: 33, headerPairs: 32 },
  }).single(field);
  return (request: Request, response: Response, next: NextFunction) => {
    parse(request, response, (error: unknown) => {
      if (!error) next();
      else next(explain(error, { field, megabytes, tooLarge }));
    });
  };
}

interface FileRule {
  readonly field: string;
  readonly megabytes: number;
  readonly tooLarge: ErrorCode;
}

function explain(error: unknown, rule?: FileRule): AppError {
  if (rule && error instanceof MulterError && error.code === 'LIMIT_FILE_SIZE') {
    const { field, megabytes, tooLarge } = rule;
    return new AppError(tooLarge, `${field}: the file is larger than ${megabytes} MB.`, { cause: error });
  }
  if (error instanceof MulterError && error.code === 'LIMIT_UNEXPECTED_FILE') {
    const where = rule ? `only taken in the field ${rule.field}` : 'not taken here';
    return new AppError('invalid_parameter', `${error.field}: a file is ${where}.`, { cause: error });
  }
  if (rule && error instanceof MulterError && error.code === 'LIMIT_FILE_COUNT') {
    return new AppError('invalid_parameter', `${rule.field}: only one file is taken.`, { cause: error });
  }
  // Anything else is the form itself: too many fields, a broken boundary, an upload that ended half-way.
  return new AppError('invalid_parameter', 'The multipart form could not be read.', { cause: error });
}
