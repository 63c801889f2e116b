import { Router } from 'express';
import type { z } from 'zod';
import type { EngineDescription, GpuMemory, GpuUse } from '../avatar/engine.js';
import { AppError } from '../errors.js';
import { type SessionRegistry, shuttingDown, starting } from '../session/session-registry.js';
import type { aliveAnswer, healthAnswer } from './answers.js';
import { only } from './only.js';

/** What the service is, once its model is loaded and warmed up. */
export interface ServiceHealth {
  readonly engine: EngineDescription;
  /** Whether a new session would be served. */
  readonly ready: boolean;
  readonly registry: SessionRegistry;
  /** undefined while the model is being loaded, and timed. */
  readonly maxSessions: number | undefined;
  readonly inferenceWorkers: number;
  /** The GPUs in use and what is taken of their memory; empty on a CPU. */
  readonly gpus: readonly GpuUse[];
  /** The same with what is free just now; asking takes a while, and nothing is asked where this is absent. */
  readonly gpuMemory?: () => Promise<readonly GpuMemory[]>;
}

/** `/health`: can it take sessions? `/health/live`: does the process answer at all? */
export function healthRoutes(health: () => ServiceHealth): Router {
  const router = Router();
  router.get('/live', (_request, response) => {
    response
      .set('Cache-Control', 'no-store')
      .json({ status: 'alive', uptime_seconds: process.uptime() } satisfies z.input<typeof aliveAnswer>);
  });
  router.get('/', (_request, response) => {
    const { engine, ready, registry, maxSessions, inferenceWorkers, gpus } = health();
    if (registry.draining) throw shuttingDown();
    if (maxSessions === undefined) throw starting();
    if (!ready) throw new AppError('not_ready', 'The inference workers are being replaced.', { retryAfterSeconds: 2 });
    response.set('Cache-Control', 'no-store').json({
      status: 'healthy',
      model_pack: engine.pack,
      device: engine.device,
      device_reason: engine.deviceReason,
      frame: { width: engine.width, height: engine.height, fps: engine.fps },
      inference_workers: inferenceWorkers,
      ...(gpus.length > 0 && {
        gpus: gpus.map(({ name, totalMib, modelMib, sessionMib }) => ({
          name,
          memory_mib: { total: totalMib, model: modelMib, per_session: sessionMib },
        })),
      }),
      sessions: { open: registry.busy, max: maxSessions, by_status: registry.countByState() },
      uptime_seconds: process.uptime(),
    } satisfies z.input<typeof healthAnswer>);
  });
  router.all(['/', '/live'], only('GET, HEAD'));
  return router;
}
