import { z } from 'zod';
import { AppError } from '../errors.js';
import { boolean, choice, number, vector } from './form-field.js';

/** Seconds of the inference window: of a fed session, and of a live one, where it decides how soon speech is seen. */
export const WINDOW_SECONDS = {
  fed: { usual: 1, least: 0.1, most: 10 },
  live: { usual: 0.32, least: 0.2, most: 2 },
} as const;

const { fed, live } = WINDOW_SECONDS;

/** A session's id becomes a folder's name: nothing else than these characters gets that far. A UUID fits. */
const sessionId = z
  .string('must be given')
  .regex(/^[A-Za-z0-9_-]{8,64}$/, 'must be a UUID or 8 to 64 letters, digits, "_" or "-"');

export const sessionIdSchema = sessionId.describe('The id that init answered.');

/** Fields of `POST …/chunked/init` besides the image. */
export const initSchema = z.object({
  session_id: sessionId
    .optional()
    .describe(
      'Your own id for the session: a UUID, or 8 to 64 letters, digits, "_" or "-". A fresh UUID unless given.',
    ),
  crop: boolean().default(true).describe('Find the face and crop to it; false keeps the whole picture in the frame.'),
  seed: number(-2147483648, 4294967295, { whole: true })
    .default(42)
    .describe('The same seed and the same input give the same frames.'),
  nfe: number(5, 50, { whole: true })
    .default(10)
    .describe("Points of the motion generator's time grid per window: more is slower and smoother."),
  cfg_scale: number(1, 5, { whole: false }).default(2).describe('How strongly the speech drives the mouth.'),
  chunk_duration: number(fed.least, fed.most, { whole: false })
    .optional()
    .meta({
      description: `Inference window in seconds; ${fed.usual} unless given. In a live session ${live.least} to ${live.most}, and ${live.usual} unless given.`,
      // Pages to try things out on fill a field without a default with its example.
      examples: [fed.usual],
    }),
  audio_sample_rate: number(8000, 192000, { whole: true })
    .default(24000)
    .describe("Rate of headerless PCM in Hz; a container's own rate wins."),
  pose_style: vector(['pitch', 'yaw', 'roll'], 1)
    .optional()
    .describe('JSON [pitch, yaw, roll] in radians: a constant turn of the head, added to its own motion.'),
  gaze_style: vector(['x', 'y'], 1).optional().describe('JSON [x, y]: a constant direction of the eyes.'),
  size: choice(256, 512, 720)
    .optional()
    .meta({ description: "Side of the video in pixels; the model's own, 512, unless given.", examples: [512] }),
  live: boolean()
    .default(false)
    .describe('The talk goes on by the clock, idle where there is no speech, as a Low-Latency HLS stream.'),
  record: boolean().default(false).describe('With live: keep the whole talk, for replay and download after its end.'),
});

/** Fields of `POST …/chunked/interrupt`. */
export const interruptSchema = z.object({ session_id: sessionIdSchema });

/** Fields of `POST …/chunked/feed` besides the audio. */
export const feedSchema = z.object({
  session_id: sessionIdSchema,
  is_final_chunk: boolean().default(false).describe('Ends the talk after this chunk.'),
  chunk_index: number(0, 2147483647, { whole: true })
    .optional()
    .describe(
      'Makes a feed safe to repeat: an index accepted before is acknowledged and not played again; one that comes early waits up to 10 s for those before it.',
    ),
});

/** Warnings about fields that a schema does not know: a mistyped name would otherwise go unnoticed. */
export function unknownFields(schema: z.ZodObject, body: unknown): string[] {
  return Object.keys((body ?? {}) as object)
    .filter((name) => !(name in schema.shape))
    .map((name) => `${name.slice(0, 40)}: there is no such field; it was ignored.`);
}

/** Whether a field counts as left out. */
export function isAbsent(value: unknown): boolean {
  return value === '' || value === 'None' || value === 'null';
}

/**
 * Checks a form. A field that is empty, or Python's `None`, counts as absent.
 * @throws AppError `invalid_parameter` naming every field that does not fit and what is allowed.
 */
export function parseForm<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const given = Object.entries((body ?? {}) as Record<string, unknown>).filter(([, value]) => !isAbsent(value));
  const parsed = schema.safeParse(Object.fromEntries(given));
  if (parsed.success) return parsed.data;
  const complaints = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new AppError('invalid_parameter', `${complaints.join('; ')}.`);
}
