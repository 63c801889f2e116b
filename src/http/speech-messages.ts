import { z } from 'zod';
import { AppError, type ErrorCode } from '../errors.js';
import { feedSchema, parseForm } from './form.js';

// What is said on a socket of speech besides the sound; `docs/api.md` is its contract.

/** What a client may say. */
export type SpeechWord = 'end_of_utterance' | 'interrupt' | 'status' | 'finish';

/** What a client is told. */
export type SpeechReply =
  | { readonly type: 'ready'; session_id: string; format: string; audio_sample_rate: number }
  | ({ readonly type: 'status' } & SpeechStatus)
  | { readonly type: 'utterance_ended' }
  | { readonly type: 'interrupted'; dropped_seconds: number }
  | { readonly type: 'error'; code: ErrorCode; detail: string };

export interface SpeechStatus {
  readonly session_status: string;
  /** Sound that was received and is not in frames yet. */
  readonly queued_seconds: number;
  readonly frames_generated: number;
  /** So much is queued that the client had better wait. */
  readonly paused: boolean;
}

const WORDS = ['end_of_utterance', 'interrupt', 'status', 'finish'] as const;
const wordSchema = z.object({ type: z.enum(WORDS) });

/** @throws AppError `invalid_parameter` for anything else than a word in JSON */
export function parseWord(text: string): SpeechWord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const word = wordSchema.safeParse(value);
  if (word.success) return word.data.type;
  const known = WORDS.map((type) => `{"type":"${type}"}`).join(', ');
  throw new AppError('invalid_parameter', `A text message must be one of ${known}; sound goes into binary ones.`);
}

const addressSchema = feedSchema
  .pick({ session_id: true })
  .extend({ format: z.enum(['pcm', 'webm'], 'must be pcm or webm').default('pcm') });

/** A session's id and the query of the address. @throws AppError `invalid_parameter` */
export function parseAddress(sessionId: string, query: URLSearchParams): { id: string; format: 'pcm' | 'webm' } {
  const { session_id: id, format } = parseForm(addressSchema, {
    session_id: sessionId,
    format: query.get('format') ?? '',
  });
  return { id, format };
}

/** Close codes (RFC 6455 7.4): the registered ones where they fit, otherwise 4000 and the HTTP status. */
const CLOSE_CODES: Partial<Record<ErrorCode, number>> = {
  internal: 1011,
  draining: 1012,
  not_ready: 1013,
};

/** The code a socket is closed with because of an error. */
export function closeCode(error: AppError): number {
  return CLOSE_CODES[error.code] ?? 4000 + error.status;
}

/** A close frame's payload is at most 125 bytes, two of them the code (RFC 6455 5.5). */
export function closeReason(text: string): string {
  const bytes = Buffer.from(text);
  return bytes.length <= 123
    ? text
    : `${bytes
        .subarray(0, 119)
        .toString()
        .replace(/\ufffd+$/, '')}...`;
}
