import express, { type Express } from 'express';
import { AppError } from '../errors.js';
import type { Logger } from '../log.js';
import type { Instruments } from '../metrics/instruments.js';
import { ApiKeys, requireApiKey } from './api-keys.js';
import { cors } from './cors.js';
import { docsRoutes, openApiRoutes } from './docs-page.js';
import { errorHandler } from './error-handler.js';
import { healthRoutes, type ServiceHealth } from './health.js';
import { metricsRoutes } from './metrics.js';
import { limitRate, RateLimit } from './rate-limits.js';
import { requestIdOf } from './request-id.js';
import { recordRequests } from './request-record.js';
import { securityHeaders } from './security-headers.js';
import { sessionRoutes } from './sessions.js';
import type { UrlSigner } from './signed-urls.js';
import { streamRoutes } from './streams.js';
import type { UploadOptions } from './uploads.js';

export interface AppDependencies {
  /** The service; throws AppError `not_ready` while the model is being loaded. */
  readonly service: () => ServiceHealth;
  /** The page at `/`. */
  readonly webDirectory: string;
  /** The compiled TypeScript client, served at `/client/`: the page uses it, and so may any other. */
  readonly clientDirectory: string;
  /** Folder of hls.js's builds, served at `/vendor/hls.js/`. */
  readonly playerDirectory: string;
  /** Folder of swagger-ui-dist, for the page at `/docs/`; absent: there is no such page. */
  readonly docsDirectory?: string | undefined;
  /** Origins whose pages may call: `*`, or some separated by commas. */
  readonly corsOrigin: string;
  /** Who may come in, and how often; absent: everybody, always. */
  readonly doors?: Doors | undefined;
  readonly logger: Logger;
  /** What is measured, shown at `/metrics`; absent: nothing, and there is no such address. */
  readonly instruments?: Instruments | undefined;
}

export interface Doors {
  /** None: no key is asked for. */
  readonly apiKeys?: readonly string[];
  /** Makes and checks addresses of streams; absent: they carry no signature. */
  readonly signer?: UrlSigner | undefined;
  /** Requests a minute from one key and address; 0: no limit. */
  readonly initsPerMinute?: number;
  readonly requestsPerMinute?: number;
  /** Reverse proxies whose word on a client's address is taken. */
  readonly trustedProxies?: number;
  /** Whether the service itself speaks TLS. */
  readonly tls?: boolean;
  readonly uploads?: UploadOptions;
  /** Default 30 s. */
  readonly slowReaderMilliseconds?: number;
}

/** The service's HTTP side. It never listens: that is `main`'s, or a test's, to do. */
export function createApp({
  service,
  webDirectory,
  clientDirectory,
  playerDirectory,
  docsDirectory,
  corsOrigin,
  doors = {},
  logger,
  instruments,
}: AppDependencies): Express {
  const registry = () => service().registry;
  const keys = new ApiKeys(doors.apiKeys ?? []);
  const apiDoor = [limitRate(new RateLimit(doors.requestsPerMinute ?? 0, keys, 'requests')), requireApiKey(keys)];
  const streams = () => streamRoutes(registry, doors);

  const app = express();
  app.disable('x-powered-by');
  app.set('trust proxy', doors.trustedProxies ?? 0);
  app.use(recordRequests(logger, instruments));
  app.use((request, response, next) => {
    response.locals.requestId = requestIdOf(request.get('X-Request-Id'));
    response.set('X-Request-Id', response.locals.requestId);
    next();
  });
  app.use(cors(corsOrigin));
  app.use(securityHeaders(webDirectory, doors.tls ?? false));

  app.use('/health', healthRoutes(service));
  if (instruments) app.use('/metrics', apiDoor, metricsRoutes(instruments, service));
  app.use('/openapi.json', openApiRoutes());
  if (docsDirectory) app.use('/docs', docsRoutes(docsDirectory));
  const initDoor = limitRate(new RateLimit(doors.initsPerMinute ?? 0, keys, 'sessions'));
  app.use('/api/audio-driven/chunked', apiDoor);
  app.post('/api/audio-driven/chunked/init', initDoor);
  app.use('/api/audio-driven/chunked', sessionRoutes(registry, doors));
  // Players send no keys: what a stream's address is worth is in the address.
  app.use('/hls', streams());
  app.use('/api/hls', streams());
  app.use('/vendor/hls.js', express.static(playerDirectory, { index: false, maxAge: '1h' }));
  app.use('/client', express.static(clientDirectory, { index: false }));
  app.use(express.static(webDirectory));
  app.use(() => {
    throw new AppError('not_found', 'There is nothing at this address.');
  });
  app.use(errorHandler(logger, instruments));
  return app;
}
