import type { Request } from 'express';
import { AppError, type ErrorCode } from '../errors.js';
import { isAbsent } from './form.js';

/** The one file of a form. */
export interface FileRule {
  readonly field: string;
  readonly megabytes: number;
  readonly tooLarge: ErrorCode;
  /** Code of a file that is empty. */
  readonly invalid: ErrorCode;
  /** A file's name as an example shows it. */
  readonly example: string;
}

const MULTIPART = 'multipart/form-data';
const PLAIN = 'application/x-www-form-urlencoded';

/**
 * Says so where a body is no form: it would be passed over, and the complaint would be that its fields are missing.
 * @param rule of the form's one file; undefined: it has none
 * @throws AppError `invalid_parameter`
 */
export function requireForm(request: Request, rule: FileRule | undefined): void {
  const { headers } = request;
  if (headers['transfer-encoding'] === undefined && !(Number(headers['content-length']) > 0)) return;
  const type = mediaType(headers['content-type']);
  if (type === PLAIN) return;
  if (type === MULTIPART) {
    if (/;\s*boundary=./i.test(headers['content-type'] ?? '')) return;
    throw new AppError(
      'invalid_parameter',
      `Content-Type: ${MULTIPART} needs its boundary; leave the header to the program that makes the form.`,
    );
  }
  const example = rule ? `${rule.field}=@${rule.example}` : 'session_id=…';
  throw new AppError(
    'invalid_parameter',
    `Content-Type: ${type || 'a body without it'} came, but this address takes a form, ${MULTIPART}; with curl: -F ${example}`,
  );
}

/** @returns the file of a form, where it is there and has something in it. @throws AppError why not */
export function requireFile(request: Request, rule: FileRule, needed: string): Express.Multer.File {
  const { file } = request;
  const { field, example, invalid } = rule;
  if (file?.size) return file;
  if (file) throw new AppError(invalid, `${field}: the file is empty.`);
  const howTo = `curl: -F ${field}=@${example}`;
  if (mediaType(request.headers['content-type']) === PLAIN) {
    throw new AppError(
      'missing_file',
      `${field}: ${needed}, and ${PLAIN} holds no files; send ${MULTIPART}; with ${howTo}`,
    );
  }
  // What came as text is not told again: it may be the file itself, and this goes into the log.
  const came = cameAsText(request, rule) ? '; it came as text, not as a file. With ' : '; with ';
  throw new AppError('missing_file', `${field}: ${needed}${came}${howTo}`);
}

/** Whether the file's field holds text, as when curl's `@` was forgotten. */
export function cameAsText({ body }: Request, { field }: FileRule): boolean {
  const value = (body as Record<string, unknown> | undefined)?.[field];
  return value !== undefined && !isAbsent(value);
}

/** Type and subtype, in small letters; empty where there is none, or something that cannot be one. */
function mediaType(header = ''): string {
  return /^\s*([\w.+-]+\/[\w.+-]+)\s*(;|$)/.exec(header)?.[1]?.toLowerCase().slice(0, 80) ?? '';
}
