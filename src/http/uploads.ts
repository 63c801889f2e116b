import type { Http2ServerRequest } from 'node:http2';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import multer, { MulterError, type StorageEngine } from 'multer';
import { AppError } from '../errors.js';
import { type FileRule, requireForm } from './form-checks.js';
import { type Upload, UploadMemory } from './upload-memory.js';

const MEGABYTE = 1024 * 1024;

/** The largest files that are taken. */
export const IMAGE_MEGABYTES = 20;
export const AUDIO_MEGABYTES = 10;

export const IMAGE_FILE: FileRule = {
  field: 'image',
  megabytes: IMAGE_MEGABYTES,
  tooLarge: 'image_too_large',
  invalid: 'invalid_image',
  example: 'face.jpg',
};
export const AUDIO_FILE: FileRule = {
  field: 'audio_chunk',
  megabytes: AUDIO_MEGABYTES,
  tooLarge: 'audio_too_large',
  invalid: 'invalid_audio',
  example: 'speech.wav',
};

/** What all uploads together may hold unless told otherwise. */
const USUAL_MEGABYTES = 320;
/** An upload of which nothing comes for so long is given up. */
const STALL_MILLISECONDS = 20_000;
/** And one that takes longer in all: 20 MB at 0.7 Mbit/s. */
const UPLOAD_MILLISECONDS = 240_000;

/** Limits of a form that are none of its file's. */
const FORM_LIMITS = { fields: 32, fieldSize: 64 * 1024, parts: 33, headerPairs: 32 };

/** Reads the form, then has it worked with; its bytes are counted until that has settled, whether the client is still there or not. */
export type Receiver = (work: (request: Request, response: Response) => unknown) => RequestHandler;

export interface UploadReceivers {
  /** The portrait of `init`. */
  readonly image: Receiver;
  /** A chunk of speech of `feed`. */
  readonly audio: Receiver;
  /** A form that holds no file. */
  readonly none: Receiver;
}

export interface UploadOptions {
  readonly memory?: UploadMemory;
  readonly stallMilliseconds?: number;
  readonly uploadMilliseconds?: number;
}

/** What reads forms into memory, and no byte more than allowed. */
export function uploadReceivers(options: UploadOptions = {}): UploadReceivers {
  const settings = {
    memory: options.memory ?? new UploadMemory(USUAL_MEGABYTES * MEGABYTE),
    stallMilliseconds: options.stallMilliseconds ?? STALL_MILLISECONDS,
    uploadMilliseconds: options.uploadMilliseconds ?? UPLOAD_MILLISECONDS,
  };
  return {
    image: receive(settings, IMAGE_FILE),
    audio: receive(settings, AUDIO_FILE),
    none: receive(settings),
  };
}

/** @param rule of the form's one file; undefined: it has none */
function receive(settings: Required<UploadOptions>, rule?: FileRule): Receiver {
  return (work) => (request: Request, response: Response, next: NextFunction) => {
    let over = false;
    const end = (error?: AppError) => {
      if (over) return;
      over = true;
      clearTimeout(deadline);
      request.setTimeout(0);
      if (!error) return void use();
      upload.release();
      if (!request.readableEnded) dropRest(request, response);
      next(error);
    };
    const late = () => end(new AppError('upload_timeout', 'The upload came too slowly, and was given up.'));
    const deadline = setTimeout(late, settings.uploadMilliseconds);
    const upload = settings.memory.open(end);
    const use = async () => {
      try {
        await work(request, response);
      } catch (thrown) {
        next(thrown);
      } finally {
        upload.release();
      }
    };
    response.once('close', () => {
      clearTimeout(deadline);
      // What is being worked with is held by that, also when nobody waits for the answer any more.
      if (!over) upload.release();
    });
    request.setTimeout(settings.stallMilliseconds, late);
    try {
      requireForm(request, rule);
    } catch (error) {
      return end(AppError.from(error));
    }
    parserFor(upload, rule)(request, response, (error: unknown) => end(error ? explain(error, rule) : undefined));
  };
}

/** What is left of a body is not waited for: the answer ends the connection, or, in HTTP/2, the stream (RFC 9113 8.1). */
function dropRest(request: Request, response: Response): void {
  if (request.httpVersionMajor === 1) response.set('Connection', 'close');
  else response.once('finish', () => (request as unknown as Http2ServerRequest).stream.close());
}

function parserFor(upload: Upload, rule: FileRule | undefined): RequestHandler {
  if (!rule) return multer({ limits: FORM_LIMITS }).none();
  const limits = { ...FORM_LIMITS, fileSize: rule.megabytes * MEGABYTE, files: 1 };
  return multer({ storage: countedMemory(upload), limits }).single(rule.field);
}

/** Keeps a file in memory, and has every piece of it counted as it comes. */
function countedMemory(upload: Upload): StorageEngine {
  return {
    _handleFile: (_request, { stream }, done) => {
      stream.on('data', (piece: Buffer) => upload.add(piece));
      stream.once('error', done);
      stream.once('end', () => {
        const buffer = upload.whole();
        done(null, { buffer, size: buffer.length });
      });
    },
    _removeFile: (_request, file, done) => {
      delete (file as Partial<Express.Multer.File>).buffer;
      done(null);
    },
  };
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
