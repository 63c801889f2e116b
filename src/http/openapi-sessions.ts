import { feedSchema, initSchema, interruptSchema } from './form.js';
import { formBody, type JsonObject, json, ofSession, problems, query, reference } from './openapi-parts.js';
import { AUDIO_MEGABYTES, IMAGE_MEGABYTES } from './uploads.js';

const ID = '6f1c2a34-5b1e-4f0a-9a53-2f6d1c0e7b11';
const urls = {
  hls_url: `/hls/${ID}/playlist.m3u8`,
  multivariant_url: `/hls/${ID}/multivariant.m3u8`,
  download_url: `/api/hls/${ID}/download`,
};
const CHUNKED = '/api/audio-driven/chunked';

/** Of what browsers ask for without headers. */
const keyInQueryToo = [{ bearer: [] }, { header: [] }, { query: [] }, {}];
/** Who may come in, and how often. */
const guarded = ['unauthorized', 'rate_limited'] as const;
const uploading = ['upload_timeout', 'overloaded'] as const;

/** Paths of the OpenAPI document about sessions: portraits and speech in. */
export const sessionPaths: Record<string, JsonObject> = {
  [`${CHUNKED}/init`]: {
    post: {
      operationId: 'initSession',
      tags: ['sessions'],
      summary: 'Starts a session from a portrait.',
      requestBody: formBody(
        initSchema,
        { image: 'portrait.jpg', seed: 7, size: 512, pose_style: '[0.1, -0.05, 0]', live: false },
        {
          name: 'image',
          required: true,
          description: `Portrait as PNG, JPEG or WebP: at least 64x64, at most ${IMAGE_MEGABYTES} MB and 40 megapixels.`,
        },
      ),
      responses: {
        200: json('The session is ready.', 'InitAnswer', {
          status: 'success',
          session_id: ID,
          ...urls,
          message: 'Session ready. Feed speech to /api/audio-driven/chunked/feed.',
          live: false,
          events_url: `${CHUNKED}/events/${ID}`,
          chunk_duration: 1,
          audio_sample_rate: 24000,
        }),
        ...problems([
          ...guarded,
          ...uploading,
          ...(['invalid_parameter', 'invalid_image', 'missing_file', 'session_exists', 'image_too_large'] as const),
          ...(['face_not_found', 'too_many_sessions', 'not_ready', 'gpu_memory_full', 'draining'] as const),
          'storage_full',
        ]),
      },
    },
  },
  [`${CHUNKED}/feed`]: {
    post: {
      operationId: 'feedSpeech',
      tags: ['sessions'],
      summary: 'Hands over speech: what is answered with 200 will be played.',
      requestBody: formBody(
        feedSchema,
        { session_id: ID, chunk_index: 0, is_final_chunk: false },
        {
          name: 'audio_chunk',
          required: false,
          description: `Speech of at most ${AUDIO_MEGABYTES} MB and 10 minutes, a whole file each time: WAV, MP3, FLAC, Ogg, WebM, M4A, AAC, or headerless 16-bit little-endian mono PCM of type audio/L16 or with a name ending in .pcm or .raw. Required unless is_final_chunk is true.`,
        },
      ),
      responses: {
        200: json('The speech is accepted; rendering goes on behind it.', 'FeedAnswer', {
          status: 'success',
          session_id: ID,
          buffer_samples: 8000,
          frames_generated: 40,
          queued_seconds: 0.5,
          lag_seconds: 0,
          session_status: 'processing',
          message: 'Audio accepted.',
        }),
        ...problems([
          ...guarded,
          ...uploading,
          ...(['invalid_parameter', 'invalid_audio', 'missing_file', 'session_not_found', 'session_closed'] as const),
          ...([
            'chunk_missing',
            'audio_too_large',
            'session_lagging',
            'not_ready',
            'draining',
            'storage_full',
          ] as const),
        ]),
      },
    },
  },
  [`${CHUNKED}/interrupt`]: {
    post: {
      operationId: 'interruptSpeech',
      tags: ['sessions'],
      summary: 'Live: drops the speech that is not heard yet, and the mouth closes.',
      requestBody: formBody(interruptSchema, { session_id: ID }),
      responses: {
        200: json('Interrupted.', 'InterruptAnswer', {
          status: 'success',
          session_id: ID,
          dropped_seconds: 5.51,
          session_status: 'processing',
          message: 'Interrupted.',
        }),
        ...problems([
          ...guarded,
          'upload_timeout',
          'invalid_parameter',
          'session_not_found',
          'not_live',
          'session_closed',
          'not_ready',
        ]),
      },
    },
  },
  [`${CHUNKED}/status/{session_id}`]: {
    parameters: ofSession,
    get: {
      operationId: 'sessionStatus',
      tags: ['sessions'],
      summary: 'How far the session is.',
      responses: {
        200: json('The status.', 'StatusAnswer', {
          session_id: ID,
          status: 'processing',
          live: false,
          total_frames_generated: 125,
          buffer_samples: 3200,
          queued_seconds: 0.2,
          lag_seconds: 0,
          ...urls,
          error: null,
          created_at: 1_700_000_000,
          uptime_seconds: 7.3,
        }),
        ...problems([...guarded, 'invalid_parameter', 'session_not_found', 'not_ready']),
      },
    },
  },
  [`${CHUNKED}/session/{session_id}`]: {
    parameters: ofSession,
    delete: {
      operationId: 'deleteSession',
      tags: ['sessions'],
      summary: 'Ends the session at once and removes its stream.',
      responses: {
        200: json('It is gone.', 'DeleteAnswer', {
          status: 'success',
          message: `Session ${ID} and its stream are gone.`,
        }),
        ...problems([...guarded, 'invalid_parameter', 'session_not_found', 'not_ready']),
      },
    },
  },
  [`${CHUNKED}/events/{session_id}`]: {
    parameters: ofSession,
    get: {
      operationId: 'sessionEvents',
      security: keyInQueryToo,
      tags: ['sessions'],
      summary: 'What happens in the session, as server-sent events.',
      description:
        'Each event has an id, the type as its name, and a SessionEvent in JSON as its data. Ends with the session.',
      parameters: [
        {
          name: 'Last-Event-ID',
          in: 'header',
          required: false,
          schema: { type: 'integer', minimum: 0 },
          description: 'Tells again what came after this event, of the last 64.',
        },
      ],
      responses: {
        200: {
          description: 'The events.',
          content: { 'text/event-stream': { schema: { type: 'string' }, 'x-event-data': reference('SessionEvent') } },
        },
        204: { description: 'The session is over and all was told: do not come back.' },
        ...problems([...guarded, 'invalid_parameter', 'session_not_found', 'not_ready']),
      },
    },
  },
  [`${CHUNKED}/stream/{session_id}`]: {
    parameters: ofSession,
    get: {
      operationId: 'speechSocket',
      security: keyInQueryToo,
      tags: ['sessions'],
      summary: 'Live: speech by WebSocket.',
      description:
        'Binary messages are sound; text messages are JSON: {"type":"end_of_utterance"}, {"type":"interrupt"}, {"type":"status"}, {"type":"finish"}. Refusals by key, origin and rate are answers to the handshake; others come behind it, as a message {"type":"error","code","detail"} and a close code. docs/api.md is the contract.',
      parameters: [
        query(
          'format',
          { type: 'string', enum: ['pcm', 'webm'], default: 'pcm' },
          "16-bit little-endian mono samples of the session's audio_sample_rate, or one continuous recording, Opus in WebM.",
        ),
      ],
      responses: {
        101: { description: 'The socket is open.' },
        ...problems([...guarded, 'foreign_origin', 'not_found']),
      },
    },
  },
};
