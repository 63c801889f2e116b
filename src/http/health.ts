import { Router } from 'express';
import type { EngineDescription } from '../avatar/engine.js';
import { AppError } from '../errors.js';
import { type SessionRegistry, shuttingDown } from '../session/session-registry.js';

/** What the service is, once its model is loaded and warmed up. */
export interface ServiceHealth {
  readonly engine: EngineDescription;
  /** Whether a new session would be served. */
  readonly ready: boolean;
  readonly registry: SessionRegistry;
  readonly maxSessions: number;
  readonly inferenceWorkers: number;
}

/** `/health`: can it take sessions? `/health/live`: does the process answer at all? */
export function healthRoutes(health: () => ServiceHealth): Router {
  const router = Router();
  router.get('/live', (_request, response) => {
    response.set('Cache-Control', 'no-store').json({ status: 'alive', uptime_seconds: process.uptime() });
  });
  router.get('/', (_request, response) => {
    const { engine, ready, registry, maxSessions, inferenceWorkers } = health();
    if (registry.draining) throw shuttingDown();
    if (!ready) throw new AppError('not_ready', 'The inference threads are being replaced.', { retryAfterSeconds: 2 });
    response.set('Cache-Control', 'no-store').json({
      status: 'healthy',
      model_pack: engine.pack,
      device: engine.device,
      device_reason: engine.deviceReason,
      frame: { width: engine.width, height: engine.height, fps: engine.fps },
      inference_workers: inferenceWorkers,
      sessions: { open: registry.busy, max: maxSessions, by_status: registry.countByState() },
      uptime_seconds: process.uptime(),
    });
  });
  return router;
}
