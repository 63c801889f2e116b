import express, { type Express } from 'express';
import { AppError } from '../errors.js';
import type { Logger } from '../log.js';
import type { Instruments } from '../metrics/instruments.js';
import { docsRoutes, openApiRoutes } from './docs-page.js';
import { errorHandler } from './error-handler.js';
import { healthRoutes, type ServiceHealth } from './health.js';
import { metricsRoutes } from './metrics.js';
import { requestIdOf } from './request-id.js';
import { recordRequests } from './request-record.js';
import { sessionRoutes } from './sessions.js';
import { streamRoutes } from './streams.js';

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
  /** `Access-Control-Allow-Origin` of every answer. */
  readonly corsOrigin: string;
  readonly logger: Logger;
  /** What is measured, shown at `/metrics`; absent: nothing, and there is no such address. */
  readonly instruments?: Instruments | undefined;
}

/** The service's HTTP side. It never listens: that is `main`'s, or a test's, to do. */
export function createApp({
  service,
  webDirectory,
  clientDirectory,
  playerDirectory,
  docsDirectory,
  corsOrigin,
  logger,
  instruments,
}: AppDependencies): Express {
  const registry = () => service().registry;

  const app = express();
  app.disable('x-powered-by');
  app.use(recordRequests(logger, instruments));
  app.use((request, response, next) => {
    response.locals.requestId = requestIdOf(request.get('X-Request-Id'));
    response.set({
      'X-Request-Id': response.locals.requestId,
      'X-Content-Type-Options': 'nosniff',
      'Access-Control-Allow-Origin': corsOrigin,
      'Access-Control-Expose-Headers': 'Retry-After, X-Request-Id',
    });
    if (corsOrigin !== '*') response.vary('Origin');
    if (request.method !== 'OPTIONS') return next();
    response
      .set({
        'Access-Control-Allow-Methods': 'GET, HEAD, POST, DELETE, OPTIONS',
        'Access-Control-Allow-Headers': request.get('Access-Control-Request-Headers') ?? '*',
        'Access-Control-Max-Age': '86400',
      })
      .sendStatus(204);
  });

  app.use('/health', healthRoutes(service));
  if (instruments) app.use('/metrics', metricsRoutes(instruments, service));
  app.use('/openapi.json', openApiRoutes());
  if (docsDirectory) app.use('/docs', docsRoutes(docsDirectory));
  app.use('/api/audio-driven/chunked', sessionRoutes(registry));
  app.use('/hls', streamRoutes(registry));
  app.use('/api/hls', streamRoutes(registry));
  app.use('/vendor/hls.js', express.static(playerDirectory, { index: false, maxAge: '1h' }));
  app.use('/client', express.static(clientDirectory, { index: false }));
  app.use(express.static(webDirectory));
  app.use(() => {
    throw new AppError('not_found', 'There is nothing at this address.');
  });
  app.use(errorHandler(logger, instruments));
  return app;
}
