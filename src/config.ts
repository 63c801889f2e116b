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

/** Milliseconds that one frame lasts, at the 25 a second that every model draws. */
const FRAME_MILLISECONDS = 40;

const wholeFrames = (min: number, max: number) => {
  const message = `must be a whole number of milliseconds from ${min} to ${max}, in steps of ${FRAME_MILLISECONDS}`;
  return z
    .string()
    .regex(/^\d+$/, message)
    .transform(Number)
    .refine((value) => value >= min && value <= max && value % FRAME_MILLISECONDS === 0, message);
};

const text = z.string().min(1, 'must not be empty');

/** Every environment variable the service reads; the README's table says what each is for. */
const environmentSchema = z.object({
  PORT: integer(0, 65535).default(9999),
  HOST: text.default('0.0.0.0'),
  TLS_CERT: text.optional(),
  TLS_KEY: text.optional(),
  HLS_DIR: text.default('hls'),
  PART_MS: wholeFrames(80, 1000).default(200),
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

/** A certificate without its key is of no use: whoever set one wants TLS, and must not get plain HTTP. */
function bothOrNeither(values: z.infer<typeof environmentSchema>, context: z.RefinementCtx): void {
  const { TLS_CERT, TLS_KEY } = values;
  if ((TLS_CERT === undefined) === (TLS_KEY === undefined)) return;
  const [absent, present] = TLS_CERT === undefined ? ['TLS_CERT', 'TLS_KEY'] : ['TLS_KEY', 'TLS_CERT'];
  context.addIssue({ code: 'custom', path: [absent], message: `must be set too, because ${present} is` });
}

/** The service's settings, checked and frozen. */
export interface Config {
  readonly port: number;
  readonly host: string;
  /** Paths of the certificate and its key, both PEM; undefined: plain HTTP. */
  readonly tls: { readonly certificate: string; readonly key: string } | undefined;
  /** Folder of the sessions' segments. */
  readonly hlsDirectory: string;
  /** Length of a part of a segment in milliseconds, a whole number of frames. */
  readonly partMilliseconds: number;
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
  const parsed = environmentSchema.superRefine(bothOrNeither).safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map(({ path, message }) => {
      const name = String(path[0]);
      return `  ${name}=${given[name] ?? ''} ${message}`;
    });
    throw new Error(`These environment variables do not fit:\n${lines.join('\n')}`);
  }
  const values = parsed.data;
  return Object.freeze({
    port: values.PORT,
    host: values.HOST,
    tls: values.TLS_CERT && values.TLS_KEY ? { certificate: values.TLS_CERT, key: values.TLS_KEY } : undefined,
    hlsDirectory: values.HLS_DIR,
    partMilliseconds: values.PART_MS,
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
