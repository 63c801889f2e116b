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

/** Short keys can be guessed; commas are between them, and HTTP headers take visible ASCII only. */
const apiKeys = z
  .string()
  .transform((list) => list.split(',').map((key) => key.trim()))
  .refine(
    (keys) => keys.every((key) => /^[!-~]{16,256}$/.test(key)),
    'must be keys of 16 to 256 visible ASCII characters, separated by commas',
  );

/** What a browser calls an origin (Fetch Standard, 3.1): no path, no slash at the end. */
const origins = z.string().refine(
  (list) =>
    list === '*' ||
    list
      .split(',')
      .map((origin) => origin.trim())
      .every((origin) => URL.canParse(origin) && new URL(origin).origin === origin),
  'must be * or origins such as https://example.org, separated by commas',
);

/** Variables whose values are told to nobody. */
const SECRETS: readonly string[] = ['API_KEYS', 'HLS_SIGNING_KEY'];

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
  WORKER_TIMEOUT_SECONDS: integer(30, 3600).default(60),
  MAX_SESSIONS: integer(1, 10000).optional(),
  MAX_QUEUED_SECONDS: integer(10, 3600).default(300),
  SESSION_IDLE_MINUTES: decimal(0.01, 10080).default(50),
  DRAIN_SECONDS: integer(0, 3600).default(30),
  CORS_ORIGIN: origins.default('*'),
  API_KEYS: apiKeys.default([]),
  HLS_SIGNING_KEY: z.string().min(32, 'must have at least 32 characters').optional(),
  HLS_URL_MINUTES: decimal(0.01, 525600).default(1440),
  RATE_LIMIT_INIT: integer(0, 1000000).default(60),
  RATE_LIMIT_REQUESTS: integer(0, 10000000).default(60000),
  TRUST_PROXY: integer(0, 10).default(0),
  MAX_CONNECTIONS: integer(10, 1000000).default(10000),
  MAX_UPLOAD_MB: integer(32, 65536).default(320),
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
  /** Seconds without an answer after which an inference worker is replaced. */
  readonly workerTimeoutSeconds: number;
  /** Sessions that may be under way; undefined: as many as the machine keeps in real time. */
  readonly maxSessions: number | undefined;
  /** Seconds of accepted speech that may wait in one session. */
  readonly maxQueuedSeconds: number;
  readonly sessionIdleMinutes: number;
  /** Seconds that accepted work may take to finish after SIGTERM. */
  readonly drainSeconds: number;
  /** `*`, or origins separated by commas. */
  readonly corsOrigin: string;
  /** Keys that open the API; none: it is open. */
  readonly apiKeys: readonly string[];
  /** Key that addresses of streams are signed with; undefined: they are not. */
  readonly hlsSigningKey: string | undefined;
  /** How long a signed address is good for. */
  readonly hlsUrlMinutes: number;
  /** Requests a minute from one key and address; 0: no limit. */
  readonly initsPerMinute: number;
  readonly requestsPerMinute: number;
  /** Reverse proxies between the clients and the service, whose word on a client's address is taken. */
  readonly trustedProxies: number;
  readonly maxConnections: number;
  /** Memory that uploads may take together. */
  readonly maxUploadMegabytes: number;
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
      const value = SECRETS.includes(name) ? '…' : (given[name] ?? '');
      return `  ${name}=${value} ${message}`;
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
    workerTimeoutSeconds: values.WORKER_TIMEOUT_SECONDS,
    maxSessions: values.MAX_SESSIONS,
    maxQueuedSeconds: values.MAX_QUEUED_SECONDS,
    sessionIdleMinutes: values.SESSION_IDLE_MINUTES,
    drainSeconds: values.DRAIN_SECONDS,
    corsOrigin: values.CORS_ORIGIN,
    apiKeys: values.API_KEYS,
    hlsSigningKey: values.HLS_SIGNING_KEY,
    hlsUrlMinutes: values.HLS_URL_MINUTES,
    initsPerMinute: values.RATE_LIMIT_INIT,
    requestsPerMinute: values.RATE_LIMIT_REQUESTS,
    trustedProxies: values.TRUST_PROXY,
    maxConnections: values.MAX_CONNECTIONS,
    maxUploadMegabytes: values.MAX_UPLOAD_MB,
    logLevel: values.LOG_LEVEL,
  });
}
