import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { helpAskedFor } from './command-line.js';
import { readConfig } from './config.js';
import { AppError } from './errors.js';
import { collectSeldom } from './garbage-collection.js';
import { measureEncoderCost } from './hls/encoder-cost.js';
import { checkFfmpeg } from './hls/ffmpeg.js';
import { STREAM_SOUND_RATE } from './hls/hls-stream.js';
import { prepareHlsDirectory } from './hls/segment-store.js';
import { sweepSocketFolders } from './hls/socket-folder.js';
import { createApp } from './http/app.js';
import type { ServiceHealth } from './http/health.js';
import { listen } from './http/listen.js';
import { createHttpServer } from './http/server.js';
import { UrlSigner } from './http/signed-urls.js';
import { SpeechDoor } from './http/speech-door.js';
import { attachSpeechSocket } from './http/speech-socket.js';
import { readTlsIdentity } from './http/tls-identity.js';
import { UploadMemory } from './http/upload-memory.js';
import { startEngine } from './inference/start-engine.js';
import type { WorkerEngine } from './inference/worker-engine.js';
import { createLogger, type Logger } from './log.js';
import { Instruments } from './metrics/instruments.js';
import { capacityOf } from './session/capacity.js';
import { SessionRegistry } from './session/session-registry.js';

// The composition root: settings -> checks -> listen -> engine -> ready; SIGTERM takes it down in reverse.

const MEGABYTE = 1024 * 1024;
const root = join(import.meta.dirname, '..');

async function main(): Promise<void> {
  const help = helpAskedFor(process.argv.slice(2));
  if (help !== undefined) {
    process.stdout.write(help);
    return;
  }
  // ONNX Runtime reports its use to Microsoft unless told not to, and it reads this when a worker loads it.
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
  collectSeldom();
  const config = readConfig(process.env);
  const logger = createLogger(config.logLevel);
  const tls = config.tls && (await readTlsIdentity(config.tls));
  const instruments = new Instruments();
  instruments.collectProcess();
  await checkFfmpeg();
  await prepareHlsDirectory(config.hlsDirectory);
  await sweepSocketFolders();

  let service: ServiceHealth | undefined;
  const ready = () => {
    if (service) return service;
    throw new AppError('not_ready', 'The model is being loaded; try again shortly.', { retryAfterSeconds: 2 });
  };
  const app = createApp({
    service: ready,
    webDirectory: join(root, 'clients', 'web'),
    clientDirectory: join(root, 'clients', 'typescript', 'dist'),
    playerDirectory: dirname(fileURLToPath(import.meta.resolve('hls.js'))),
    docsDirectory: dirname(fileURLToPath(import.meta.resolve('swagger-ui-dist/package.json'))),
    corsOrigin: config.corsOrigin,
    doors: {
      apiKeys: config.apiKeys,
      signer: config.hlsSigningKey ? new UrlSigner(config.hlsSigningKey, config.hlsUrlMinutes) : undefined,
      initsPerMinute: config.initsPerMinute,
      requestsPerMinute: config.requestsPerMinute,
      trustedProxies: config.trustedProxies,
      tls: tls !== undefined,
      uploads: { memory: new UploadMemory(config.maxUploadMegabytes * MEGABYTE) },
    },
    logger,
    instruments,
  });
  const server = createHttpServer(app, tls, undefined, { maxConnections: config.maxConnections });
  const sockets = attachSpeechSocket(server, () => ready().registry, logger, {
    maxQueuedSeconds: config.maxQueuedSeconds,
    instruments,
    door: new SpeechDoor(config),
  });
  await listen(server, config.port, config.host);
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : config.port;
  logger.info({ port, host: config.host }, 'listening, loading the model');
  const engine = await startEngine({
    packDirectory: join(config.modelsDirectory, config.modelPack),
    device: config.device,
    workers: config.inferenceWorkers,
    batchFrames: config.batchFrames,
    script: new URL('./inference/worker.js', import.meta.url),
    logger,
    instruments,
  });
  const maxSessions = config.maxSessions ?? (await measureCapacity(engine, logger));
  const registry = new SessionRegistry({
    engine,
    hlsDirectory: config.hlsDirectory,
    maxSessions,
    maxQueuedSeconds: config.maxQueuedSeconds,
    idleMinutes: config.sessionIdleMinutes,
    partMilliseconds: config.partMilliseconds,
    logger,
    instruments,
  });
  // Only now: whoever holds the port may be a service whose sessions are in that folder.
  await registry.restore();
  service = {
    engine: engine.description,
    get ready() {
      return engine.ready;
    },
    registry,
    maxSessions,
    inferenceWorkers: engine.workers,
    get gpus() {
      return engine.gpus;
    },
    gpuMemory: () => engine.gpuMemory(),
  };
  logger.info({ ...engine.description, port, url: `${tls ? 'https' : 'http'}://localhost:${port}/` }, 'ready');

  let stopping = 0;
  const stop = async (signal: string) => {
    // Asked again: at once. A terminal and npm both pass one Ctrl+C on, so what comes within a second is the same wish.
    if (stopping && Date.now() - stopping > 1000) process.exit(1);
    if (stopping) return;
    stopping = Date.now();
    logger.info({ signal, seconds: config.drainSeconds, sessions: registry.size }, 'draining');
    await registry.drain(config.drainSeconds);
    sockets.close();
    server.close();
    server.closeAllConnections();
    await engine.close();
    logger.info('stopped');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      stop(signal).catch((err) => {
        logger.fatal({ err }, 'not stopped cleanly');
        process.exit(1);
      });
    });
  }
}

/** Sessions that this machine keeps in real time. */
async function measureCapacity(engine: WorkerEngine, logger: Logger): Promise<number> {
  const { width, height, fps, device } = engine.description;
  const format = { width, height, fps, picture: { width, height }, segmentFrames: fps, soundRate: STREAM_SOUND_RATE };
  const model = await engine.measureCost();
  const cost = { model, encoder: await measureEncoderCost(format, logger) };
  const machine = { cores: availableParallelism(), workers: engine.workers, workersOnCpu: device === 'cpu' };
  const capacity = capacityOf(machine, cost);
  logger.info({ capacity, ...machine, ...cost }, 'timed the model and the encoder');
  return capacity;
}

main().catch((error) => {
  console.error(`facecast: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
});
