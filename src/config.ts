import { availableParallelism } from 'node:os';
import { z } from 'zod';

const integer = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be a whole number from ${min} to ${max}`);

const decimal = (min: number, max: number) =>
  z
    .string()
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be a number from ${min} to ${max}`);

const text = z.string().min(1, 'must not be empty');

/** Every environment variable the service reads; the README's table says what each is for. */
const environmentSchema = z.object({
  PORT: integer(0, 65535).default(9999),
  HOST: text.default('0.0.0.0'),
  HLS_DIR: text.default('hls'),
  MODELS_DIR: text.default('models'),
  MODEL_PACK: text.regex(/^[\w-]+$/, 'must be the name of a folder in MODELS_DIR').default('portrait'),
  DEVICE: z.enum(['auto', 'cpu', 'cuda', 'tensorrt'], 'must be auto, cpu, cuda or tensorrt').default('auto'),
  INFERENCE_WORKERS: integer(1, 64).optional(),
  BATCH_FRAMES: integer(1, 64).optional(),
  MAX_SESSIONS: integer(1, 10000).default(16),
  MAX_QUEUED_SECONDS: integer(10, 3600).default(300),
  SESSION_IDLE_MINUTES: decimal(0.01, 10080).default(50),
  DRAIN_SECONDS: integer(0, 3600).default(30),
  CORS_ORIGIN: text.default('*'),
  LOG_LEVEL: z
    .enum(
      ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      'must be fatal, error, warn, info, debug, trace or silent',
    )
    .default('info'),
});

/** The service's settings, checked and frozen. */
export interface Config {
  readonly port: number;
  readonly host: string;
  /** Folder of the sessions' segments. */
  readonly hlsDirectory: string;
  readonly modelsDirectory: string;
  /** Folder of `modelsDirectory` whose model speaks. */
  readonly modelPack: string;
  readonly device: 'auto' | 'cpu' | 'cuda' | 'tensorrt';
  /** Threads that run the model where `device` is the CPU. */
  readonly inferenceWorkers: number;
  /** Frames drawn in one run of the renderer, at most; undefined: what suits the device. */
  readonly batchFrames: number | undefined;
  readonly maxSessions: number;
  /** Seconds of accepted speech that may wait in one session. */
  readonly maxQueuedSeconds: number;
  readonly sessionIdleMinutes: number;
  /** Seconds that accepted work may take to finish after SIGTERM. */
  readonly drainSeconds: number;
  readonly corsOrigin: string;
  readonly logLevel: string;
}

/**
 * Reads the settings from environment variables. An empty variable counts as absent, as in a `.env` file with the
 * value left out.
 * @throws Error listing every variable that does not fit, and what is allowed.
 */
export function readConfig(environment: NodeJS.ProcessEnv): Config {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const parsed = environmentSchema.safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map(({ path, message }) => {
      const name = String(path[0]);
      return `  ${name}=${given[name]} ${message}`;
    });
    throw new Error(`These environment variables do not fit:\n${lines.join('\n')}`);
  }
  const values = parsed.data;
  return Object.freeze({
    port: values.PORT,
    host: values.HOST,
    hlsDirectory: values.HLS_DIR,
    modelsDirectory: values.MODELS_DIR,
    modelPack: values.MODEL_PACK,
    device: values.DEVICE,
    inferenceWorkers: values.INFERENCE_WORKERS ?? Math.min(8, availableParallelism()),
    batchFrames: values.BATCH_FRAMES,
    maxSessions: values.MAX_SESSIONS,
    maxQueuedSeconds: values.MAX_QUEUED_SECONDS,
    sessionIdleMinutes: values.SESSION_IDLE_MINUTES,
    drainSeconds: values.DRAIN_SECONDS,
    corsOrigin: values.CORS_ORIGIN,
    logLevel: values.LOG_LEVEL,
  });
}
