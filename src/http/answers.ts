import { z } from 'zod';
import { ERROR_STATUS, type ErrorCode } from '../errors.js';

// What the service answers. The handlers' answers are checked against these types by the compiler, and the OpenAPI document
// is made of them.

const success = z.literal('success');
const sessionId = z.string().meta({ examples: ['6f1c2a34-5b1e-4f0a-9a53-2f6d1c0e7b11'] });
const frames = z.int().min(0);
const seconds = z.number().min(0);
const samples = z.int().min(0).describe('Samples at 16 kHz that are accepted and not yet in frames.');
const queued = seconds.describe('Speech that is accepted and not yet in frames.');
const lag = seconds.describe(
  'How much later than in real time the next frame comes: of a live talk by its clock, of a fed one since its speech began to be rendered; 0 where it is in time, or nothing is to be done.',
);
const message = z.string().describe('For people; not to be parsed.');

/** `processing`: speech is being turned into frames. `complete` and `error` are final. */
const sessionState = z.enum(['waiting_for_audio', 'processing', 'complete', 'error']);

/** Where a stream is to be had. They carry a signature where the service signs them. */
const streamUrls = {
  hls_url: z.string().describe('Path of the media playlist.'),
  multivariant_url: z.string().describe('Path of the multivariant playlist.'),
  download_url: z.string().describe('Path of the finished talk as one MP4.'),
};

export const initAnswer = z.object({
  status: success,
  session_id: sessionId,
  ...streamUrls,
  message,
  live: z.boolean(),
  stream_url: z.string().optional().describe('Path of the WebSocket of speech; only of a live session.'),
  events_url: z.string().describe('Path of the server-sent events.'),
  chunk_duration: seconds.describe('Inference window in seconds.'),
  audio_sample_rate: z.int().describe('Rate of headerless PCM in Hz.'),
  warnings: z.array(z.string()).optional().describe('What was assumed, limited or ignored.'),
});

export const feedAnswer = z.object({
  status: success,
  session_id: sessionId,
  buffer_samples: samples,
  frames_generated: frames,
  queued_seconds: queued,
  lag_seconds: lag,
  session_status: sessionState,
  message,
});

export const interruptAnswer = z.object({
  status: success,
  session_id: sessionId,
  dropped_seconds: seconds.describe('Speech that was accepted and will not be heard.'),
  session_status: sessionState,
  message,
});

export const statusAnswer = z.object({
  session_id: sessionId,
  status: sessionState,
  live: z.boolean(),
  total_frames_generated: frames,
  buffer_samples: samples,
  queued_seconds: queued,
  lag_seconds: lag,
  ...streamUrls,
  error: z.string().nullable().describe('What ended the session in state error.'),
  created_at: z.number().describe('Seconds since 1970.'),
  uptime_seconds: seconds,
});

export const deleteAnswer = z.object({ status: success, message });

/** The data of one server-sent event. */
export const eventData = z.object({
  type: z.enum(['speech_started', 'speech_ended', 'interrupted', 'lagging', 'error', 'closed']),
  at: z.number().describe('Seconds since 1970.'),
  frame: frames.describe('Frame of the timeline that it belongs to.'),
  seconds: seconds.describe('Where that frame lies on the timeline.'),
  detail: z.string().optional(),
  dropped_seconds: seconds.optional().describe('Of interrupted: speech that will not be heard.'),
});

export const healthAnswer = z.object({
  status: z.literal('healthy'),
  model_pack: z.string(),
  device: z.enum(['cpu', 'cuda', 'tensorrt']),
  device_reason: z.string(),
  frame: z.object({ width: z.int(), height: z.int(), fps: z.int() }),
  inference_workers: z.int(),
  gpus: z
    .array(
      z.object({
        name: z.string(),
        memory_mib: z.object({ total: z.number(), model: z.number(), per_session: z.number() }),
      }),
    )
    .optional()
    .describe('Only where the model runs on GPUs.'),
  sessions: z.object({
    open: z.int().min(0),
    max: z.int().min(1),
    by_status: z.record(z.string(), z.int()).describe('Sessions that are there, by status.'),
  }),
  uptime_seconds: seconds,
});

/** What waits in a session, and how late it is. */
export interface Queue {
  readonly queued_seconds: number;
  readonly lag_seconds: number;
}

export const aliveAnswer = z.object({ status: z.literal('alive'), uptime_seconds: seconds });

/** Problem details (RFC 9457): the one shape of every error. */
export const problem = z.object({
  type: z.literal('about:blank'),
  title: z.string().describe("The status's phrase."),
  status: z.int().min(400).max(599),
  detail: z.string().describe('For people: what was wrong with which field, and what is allowed.'),
  code: z.enum(Object.keys(ERROR_STATUS) as [ErrorCode, ...ErrorCode[]]).describe('Stable: switch on this.'),
  request_id: z.string().describe('Finds the request in the log; the X-Request-Id of the answer.'),
  queued_seconds: seconds.optional().describe('Of session_lagging: speech that is accepted and not yet in frames.'),
  lag_seconds: seconds
    .optional()
    .describe('Of session_lagging: how much later than in real time the next frame comes.'),
});
