import * as answers from './answers.js';
import { sessionIdSchema } from './form.js';
import { type JsonObject, json, problems, schemaOf } from './openapi-parts.js';
import { sessionPaths } from './openapi-sessions.js';
import { streamPaths } from './openapi-streams.js';

/** Version of the contract. */
export const API_VERSION = '0.1.0';

const components = {
  schemas: {
    InitAnswer: schemaOf(answers.initAnswer),
    FeedAnswer: schemaOf(answers.feedAnswer),
    InterruptAnswer: schemaOf(answers.interruptAnswer),
    StatusAnswer: schemaOf(answers.statusAnswer),
    DeleteAnswer: schemaOf(answers.deleteAnswer),
    SessionEvent: schemaOf(answers.eventData),
    HealthAnswer: schemaOf(answers.healthAnswer),
    AliveAnswer: schemaOf(answers.aliveAnswer),
    Problem: schemaOf(answers.problem),
  },
  securitySchemes: {
    bearer: { type: 'http', scheme: 'bearer', description: 'Where the service was given API keys.' },
    header: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'The same key.' },
    query: {
      type: 'apiKey',
      in: 'query',
      name: 'api_key',
      description: 'The same, for WebSockets and event streams of browsers, which send no headers.',
    },
  },
  parameters: {
    SessionId: { name: 'session_id', in: 'path', required: true, schema: schemaOf(sessionIdSchema) },
  },
  headers: {
    RetryAfter: {
      description: 'Seconds after which the same request may succeed.',
      schema: { type: 'integer', minimum: 1 },
    },
  },
};

const operationPaths: Record<string, JsonObject> = {
  '/health': {
    get: {
      operationId: 'health',
      security: [],
      tags: ['operation'],
      summary: 'Would a new session be served?',
      responses: {
        200: json('Yes.', 'HealthAnswer', {
          status: 'healthy',
          model_pack: 'portrait',
          device: 'cpu',
          device_reason: 'DEVICE=auto: this pack is made for the CPU',
          frame: { width: 512, height: 512, fps: 25 },
          inference_workers: 2,
          sessions: { open: 1, max: 16, by_status: { processing: 1 } },
          uptime_seconds: 3600.5,
        }),
        ...problems(['not_ready', 'draining']),
      },
    },
  },
  '/health/live': {
    get: {
      operationId: 'alive',
      security: [],
      tags: ['operation'],
      summary: 'Does the process answer?',
      responses: { 200: json('It does.', 'AliveAnswer', { status: 'alive', uptime_seconds: 3600.5 }), ...problems([]) },
    },
  },
  '/metrics': {
    get: {
      operationId: 'metrics',
      tags: ['operation'],
      summary: "What is measured, in Prometheus's text format; docs/monitoring.md explains it.",
      responses: {
        200: { description: 'The metrics.', content: { 'text/plain': { schema: { type: 'string' } } } },
        ...problems(['unauthorized', 'rate_limited']),
      },
    },
  },
  '/openapi.json': {
    get: {
      operationId: 'openapi',
      security: [],
      tags: ['operation'],
      summary: 'This document.',
      responses: {
        200: { description: 'OpenAPI 3.1.', content: { 'application/json': { schema: { type: 'object' } } } },
        ...problems([]),
      },
    },
  },
};

/** The HTTP contract as an OpenAPI 3.1 document. */
export const openApiDocument = {
  openapi: '3.1.0',
  info: {
    title: 'Facecast',
    version: API_VERSION,
    summary: 'A live talking-head server: a portrait and chunks of speech in, an HLS stream out.',
    description:
      'Errors are problem details (RFC 9457) with a stable code. Any address answers other methods than its own with 405 method_not_allowed, and an address that is none with 404 not_found. Forms take booleans as true/false, 1/0 or yes/no, and an empty field, None or null counts as absent. Every answer has an X-Request-Id, taken over from the request where that has a plain one.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  tags: [
    { name: 'sessions', description: 'Portraits and speech in.' },
    { name: 'streams', description: 'HLS out.' },
    { name: 'operation', description: 'For whoever runs the service.' },
  ],
  // One of them where the service was given keys, none where not.
  security: [{ bearer: [] }, { header: [] }, {}],
  paths: { ...sessionPaths, ...streamPaths('/hls'), ...streamPaths('/api/hls'), ...operationPaths },
  components,
} as const;
