import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApp } from '../../src/http/app.js';
import { createLogger } from '../../src/log.js';
import { SessionRegistry } from '../../src/session/session-registry.js';
import { root, startTestEngine } from './device.js';

const MAX_SESSIONS = 8;

export interface GpuService {
  readonly url: string;
  close(): Promise<void>;
}

/** The whole service on the device that is tested, listening on a free port of the loopback address. */
export async function startGpuService(packDirectory: string): Promise<GpuService> {
  const logger = createLogger(process.env.LOG_LEVEL ?? 'silent');
  const hlsDirectory = await mkdtemp(join(tmpdir(), 'facecast-gpu-'));
  const engine = await startTestEngine(packDirectory);
  const limits = { maxSessions: MAX_SESSIONS, maxQueuedSeconds: 300, idleMinutes: 50 };
  const registry = new SessionRegistry({ engine, hlsDirectory, logger, ...limits });
  const app = createApp({
    service: () => ({
      engine: engine.description,
      ready: engine.ready,
      gpus: engine.gpus,
      registry,
      maxSessions: MAX_SESSIONS,
      inferenceWorkers: engine.workers,
    }),
    webDirectory: join(root, 'clients/web'),
    clientDirectory: join(root, 'clients/typescript/dist'),
    playerDirectory: join(root, 'node_modules/hls.js/dist'),
    corsOrigin: '*',
    logger,
  });
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      await registry.drain(0);
      server.close();
      server.closeAllConnections();
      await engine.close();
      await rm(hlsDirectory, { recursive: true, force: true });
    },
  };
}
