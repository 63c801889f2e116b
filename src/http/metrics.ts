import { Router } from 'express';
import { AppError } from '../errors.js';
import type { Instruments, SessionKind } from '../metrics/instruments.js';
import type { Session } from '../session/session.js';
import type { ServiceHealth } from './health.js';
import { only } from './only.js';

const MIB = 1024 * 1024;
const KINDS: readonly SessionKind[] = ['fed', 'live'];
const STATES = ['waiting_for_audio', 'processing', 'complete', 'error'] as const;

/** `/metrics`: all that is measured, in Prometheus's text format. It answers before the model is loaded, too. */
export function metricsRoutes(instruments: Instruments, health: () => ServiceHealth): Router {
  const router = Router();
  const { registry } = instruments;
  // Who asks while the page is being made gets the same one: on GPUs each starts a program.
  let page: Promise<string> | undefined;
  const make = async () => {
    await observe(instruments, serviceOf(health));
    return registry.metrics();
  };
  router.get('/', async (_request, response) => {
    page ??= make().finally(() => {
      page = undefined;
    });
    const text = await page;
    response.set({ 'Cache-Control': 'no-store', 'Content-Type': registry.contentType }).send(text);
  });
  router.all('/', only('GET, HEAD'));
  return router;
}

/** undefined while the model is being loaded */
function serviceOf(health: () => ServiceHealth): ServiceHealth | undefined {
  try {
    return health();
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_ready') return undefined;
    throw error;
  }
}

/** Sets what is not counted as it happens but looked at when somebody asks. */
async function observe(instruments: Instruments, service: ServiceHealth | undefined): Promise<void> {
  instruments.ready.set(service?.ready && !service.registry.draining ? 1 : 0);
  if (!service) return;
  instruments.sessionsMax.set(service.maxSessions ?? 0);
  instruments.inferenceWorkers.set(service.inferenceWorkers);
  const sessions = [...service.registry.all()];
  for (const kind of KINDS) {
    const ofKind = sessions.filter(({ live }) => live === (kind === 'live'));
    for (const state of STATES) {
      instruments.sessions.set({ kind, state }, ofKind.filter((session) => session.state === state).length);
    }
    observeTalks(
      instruments,
      kind,
      ofKind.filter(({ over }) => !over),
    );
  }
  instruments.waitingRequests.set(sum(sessions.map(({ stream }) => stream.waiting)));
  await observeGpus(instruments, service);
}

/** @param talks sessions of one kind that are not over */
function observeTalks(instruments: Instruments, kind: SessionKind, talks: readonly Session[]): void {
  const queued = talks.map(({ queuedSeconds }) => queuedSeconds);
  instruments.speechQueued.set({ kind }, sum(queued));
  instruments.speechQueuedLongest.set({ kind }, Math.max(0, ...queued));
  instruments.framesKept.set({ kind }, sum(talks.map(({ stream }) => stream.timing.framesKept)));
  const offsets = talks.map(({ stream }) => stream.timing.soundOffsetSeconds);
  const worst = offsets.reduce((most, offset) => (Math.abs(offset) > Math.abs(most) ? offset : most), 0);
  instruments.audioVideoOffset.set({ kind }, worst);
}

async function observeGpus(instruments: Instruments, service: ServiceHealth): Promise<void> {
  const gpus = (await service.gpuMemory?.()) ?? [];
  for (const [i, { totalMib, freeMib, modelMib, sessionMib }] of gpus.entries()) {
    const set = (part: string, mib: number) => instruments.gpuMemory.set({ gpu: String(i), part }, mib * MIB);
    set('total', totalMib);
    set('model', modelMib);
    set('session', sessionMib);
    if (freeMib !== undefined) set('free', freeMib);
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
