import { z } from 'zod';
import { AppError } from '../errors.js';

// Fields of multipart forms arrive as text. Each schema below says in its message what is allowed.

const WORDS: Readonly<Record<string, boolean>> = { true: true, false: false, 1: true, 0: false, yes: true, no: false };

function boolean(fallback: boolean) {
  return z
    .string()
    .transform((text) => WORDS[text.toLowerCase()])
    .refine((value) => value !== undefined, 'must be true or false (1/0 and yes/no are taken as well)')
    .default(fallback);
}

function number(min: number, max: number, { whole }: { whole: boolean }) {
  const message = `must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}`;
  return z
    .string()
    .trim()
    .regex(whole ? /^-?\d+$/ : /^-?(\d+\.?\d*|\.\d+)(e-?\d+)?$/i, message)
    .transform(Number)
    .refine((value) => value >= min && value <= max, message);
}

/** A JSON array of `names.length` numbers, each in `-limit..limit`. */
function vector(names: readonly string[], limit: number) {
  const message = `must be a JSON array [${names.join(', ')}] of numbers from -${limit} to ${limit}`;
  return z.string().transform((text, context) => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      value = undefined;
    }
    const fits =
      Array.isArray(value) &&
      value.length === names.length &&
      value.every((entry) => typeof entry === 'number' && Math.abs(entry) <= limit);
    if (fits) return value as number[];
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

/** One of a few whole numbers. */
function choice(...values: readonly number[]) {
  const all = values.map(String);
  const message = `must be ${all.slice(0, -1).join(', ')} or ${all[all.length - 1]}`;
  return z
    .string()
    .trim()
    .refine((text) => all.includes(text), message)
    .transform(Number);
}

/** A session's id becomes a folder's name: nothing else than these characters gets that far. A UUID fits. */
const sessionIdSchema = z
  .string('must be given')
  .regex(/^[A-Za-z0-9_-]{8,64}$/, 'must be a UUID or 8 to 64 letters, digits, "_" or "-"');

/** Fields of `POST …/chunked/init` besides the image. */
export const initSchema = z.object({
  session_id: sessionIdSchema.optional(),
  crop: boolean(true),
  seed: number(-2147483648, 4294967295, { whole: true }).default(42),
  nfe: number(5, 50, { whole: true }).default(10),
  cfg_scale: number(1, 5, { whole: false }).default(2),
  chunk_duration: number(0.1, 10, { whole: false }).optional(),
  audio_sample_rate: number(8000, 192000, { whole: true }).default(24000),
  pose_style: vector(['pitch', 'yaw', 'roll'], 1).optional(),
  gaze_style: vector(['x', 'y'], 1).optional(),
  size: choice(256, 512, 720).optional(),
  live: boolean(false),
  record: boolean(false),
});

/** Fields of `POST …/chunked/interrupt`. */
export const interruptSchema = z.object({ session_id: sessionIdSchema });

/** Fields of `POST …/chunked/feed` besides the audio. */
export const feedSchema = z.object({
  session_id: sessionIdSchema,
  is_final_chunk: boolean(false),
  chunk_index: number(0, 2147483647, { whole: true }).optional(),
});

/** Warnings about fields that a schema does not know: a mistyped name would otherwise go unnoticed. */
export function unknownFields(schema: z.ZodObject, body: unknown): string[] {
  return Object.keys((body ?? {}) as object)
    .filter((name) => !(name in schema.shape))
    .map((name) => `${name.slice(0, 40)}: there is no such field; it was ignored.`);
}

/**
 * Checks a form. A field that is empty, or Python's `None`, counts as absent.
 * @throws AppError `invalid_parameter` naming every field that does not fit and what is allowed.
 */
export function parseForm<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const given = Object.entries((body ?? {}) as Record<string, unknown>).filter(
    ([, value]) => value !== '' && value !== 'None' && value !== 'null',
  );
  const parsed = schema.safeParse(Object.fromEntries(given));
  if (parsed.success) return parsed.data;
  const complaints = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new AppError('invalid_parameter', `${complaints.join('; ')}.`);
}
