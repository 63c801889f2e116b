import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createApp, type Doors } from '../../src/http/app.js';
import { createHttpServer, type ServerLimits } from '../../src/http/server.js';
import { SpeechDoor } from '../../src/http/speech-door.js';
import { attachSpeechSocket } from '../../src/http/speech-socket.js';
import type { TlsIdentity } from '../../src/http/tls-identity.js';
import type { WorkerPlace } from '../../src/inference/engine-worker.js';
import { WorkerEngine } from '../../src/inference/worker-engine.js';
import { createLogger } from '../../src/log.js';
import { Instruments } from '../../src/metrics/instruments.js';
import { SessionRegistry } from '../../src/session/session-registry.js';

const root = resolve(__dirname, '../..');

/** The sample portrait and speech of the repository: there on every machine. */
export const samplePortrait = join(root, 'clients/web/samples/portrait.jpg');
export const sampleSpeech = join(root, 'clients/web/samples/speech.wav');

/** The whole service, listening on a free port of the loopback address. */
export interface TestService {
  readonly url: string;
  readonly registry: SessionRegistry;
  readonly engine: WorkerEngine;
  readonly hlsDirectory: string;
  close(): Promise<void>;
}

export interface TestEngineOptions {
  /** The portrait pack unless given. */
  readonly packDirectory?: string;
  readonly batchFrames?: number;
  /** Two threads unless given. */
  readonly places?: readonly WorkerPlace[];
}

export async function startEngine({
  packDirectory = join(root, 'models/portrait'),
  batchFrames = 5,
  places = [{ kind: 'thread' }, { kind: 'thread' }],
}: TestEngineOptions = {}): Promise<WorkerEngine> {
  return WorkerEngine.start({
    packDirectory,
    batchFrames,
    places,
    device: 'cpu',
    deviceReason: 'test',
    // Workers run compiled code: `npm test` builds before it tests.
    script: join(root, 'dist/inference/worker.js'),
    logger: createLogger('silent'),
  });
}

export interface TestServiceOptions extends TestEngineOptions {
  /** Started by the caller, closed with the service; in place of one with the options above. */
  readonly engine?: WorkerEngine;
  readonly maxSessions?: number;
  readonly idleMinutes?: number;
  readonly maxQueuedSeconds?: number;
  /** Who may come in, and how often; everybody, always, unless given. */
  readonly doors?: Doors;
  readonly corsOrigin?: string;
  readonly serverLimits?: ServerLimits;
  /** Where the sessions' folders are; a new folder unless given. Removed with the service. */
  readonly hlsDirectory?: string;
  /** Lines of the log; nowhere unless given. */
  readonly log?: { write(line: string): void };
  /** HTTPS with this certificate; plain HTTP unless given. */
  readonly tls?: TlsIdentity;
}

export async function startService(options: TestServiceOptions = {}): Promise<TestService> {
  const logger = options.log ? createLogger('debug', options.log) : createLogger(process.env.LOG_LEVEL ?? 'silent');
  const hlsDirectory = options.hlsDirectory ?? (await mkdtemp(join(tmpdir(), 'facecast-test-')));
  const instruments = new Instruments();
  const engine = options.engine ?? (await startEngine(options));
  const registry = new SessionRegistry({
    engine,
    hlsDirectory,
    maxSessions: options.maxSessions ?? 8,
    maxQueuedSeconds: options.maxQueuedSeconds ?? 300,
    idleMinutes: options.idleMinutes ?? 50,
    partMilliseconds: 200,
    logger,
    instruments,
  });
  const app = createApp({
    service: () => ({
      engine: engine.description,
      ready: engine.ready,
      gpus: engine.gpus,
      registry,
      maxSessions: options.maxSessions ?? 8,
      inferenceWorkers: engine.workers,
    }),
    webDirectory: join(root, 'clients/web'),
    clientDirectory: join(root, 'clients/typescript/dist'),
    playerDirectory: join(root, 'node_modules/hls.js/dist'),
    docsDirectory: join(root, 'node_modules/swagger-ui-dist'),
    corsOrigin: options.corsOrigin ?? '*',
    doors: options.doors,
    logger,
    instruments,
  });
  const server = createHttpServer(app, options.tls, undefined, options.serverLimits).listen(0, '127.0.0.1');
  const speechSockets = attachSpeechSocket(server, () => registry, logger, {
    maxQueuedSeconds: options.maxQueuedSeconds ?? 300,
    instruments,
    door: new SpeechDoor({ ...options.doors, corsOrigin: options.corsOrigin }),
  });
  await once(server, 'listening');
  return {
    url: `${options.tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    registry,
    engine,
    hlsDirectory,
    close: async () => {
      await registry.drain(0);
      speechSockets.close();
      server.close();
      server.closeAllConnections();
      await engine.close();
      await rm(hlsDirectory, { recursive: true, force: true });
    },
  };
}
