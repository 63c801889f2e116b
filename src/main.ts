import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { now } from './clock.js';
import { helpAskedFor } from './command-line.js';
import { readConfig } from './config.js';
import { endProcess } from './end-process.js';
import { collectSeldom } from './garbage-collection.js';
import { measureEncoderCost } from './hls/encoder-cost.js';
import { checkFfmpeg } from './hls/ffmpeg.js';
import { FolderLock } from './hls/folder-lock.js';
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
import { ModelPack } from './inference/model-pack.js';
import { startEngine } from './inference/start-engine.js';
import { StartingEngine } from './inference/starting-engine.js';
import type { WorkerEngine } from './inference/worker-engine.js';
import { livingThreads } from './inference/worker-host.js';
import { createLogger, flushLog, type Logger } from './log.js';
import { Instruments } from './metrics/instruments.js';
import { capacityOf } from './session/capacity.js';
import { SessionRegistry, starting } from './session/session-registry.js';

// The composition root: settings -> checks -> listen -> sessions of before -> engine -> ready; SIGTERM takes it down in reverse.

const MEGABYTE = 1024 * 1024;
/** What the closing of all sessions may take on top of DRAIN_SECONDS: one whose worker hangs waits for that. */
const CLOSING_SECONDS = 3;
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
  const packDirectory = join(config.modelsDirectory, config.modelPack);
  const tls = config.tls && (await readTlsIdentity(config.tls));
  const instruments = new Instruments();
  instruments.collectProcess();
  await checkFfmpeg();
  await prepareHlsDirectory(config.hlsDirectory);
  await sweepSocketFolders();

  let service: ServiceHealth | undefined;
  const ready = () => {
    if (service) return service;
    throw starting();
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
  // Only now: whoever holds the port is told of first.
  const lock = await FolderLock.take(config.hlsDirectory);
  if (!lock) logger.warn({ folder: config.hlsDirectory }, 'HLS_DIR cannot be locked: let no other service use it');
  const engine = new StartingEngine(await ModelPack.readFacts(packDirectory), config.batchFrames);
  const registry = new SessionRegistry({
    engine,
    hlsDirectory: config.hlsDirectory,
    maxQueuedSeconds: config.maxQueuedSeconds,
    idleMinutes: config.sessionIdleMinutes,
    partMilliseconds: config.partMilliseconds,
    logger,
    instruments,
  });
  service = {
    get engine() {
      return engine.description;
    },
    get ready() {
      return engine.ready;
    },
    registry,
    get maxSessions() {
      return registry.maxSessions;
    },
    get inferenceWorkers() {
      return engine.workers;
    },
    get gpus() {
      return engine.gpus;
    },
    gpuMemory: () => engine.gpuMemory(),
  };

  let asked = 0;
  let stopping: Promise<void> | undefined;
  const stop = async (signal: NodeJS.Signals) => {
    // What nothing can be drawn for yet is not waited for: it comes back with the service.
    const loaded = registry.maxSessions !== undefined;
    const seconds = loaded ? config.drainSeconds : 0;
    logger.info({ signal, seconds, sessions: registry.size }, 'draining');
    await Promise.race([registry.drain(seconds), sleep((seconds + CLOSING_SECONDS) * 1000)]);
    sockets.close();
    server.close();
    server.closeAllConnections();
    await engine.close();
    await lock?.release();
    const threads = livingThreads();
    if (loaded && threads > 0) logger.warn({ threads }, 'inference threads do not end');
    logger.info('stopped');
    // A signal would take with it what is not written yet.
    flushLog(logger);
    if (loaded) endProcess(0);
    // Threads in the middle of loading a model cannot be ended: an exit would be an abort. This is what a signal does by itself.
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      // Asked again: at once. A terminal and npm both pass one Ctrl+C on, so what comes within a second is the same wish.
      if (stopping && now() - asked > 1000) endProcess(1);
      if (stopping) return;
      asked = now();
      stopping = stop(signal).catch((err) => {
        logger.fatal({ err }, 'not stopped cleanly');
        endProcess(1);
      });
    });
  }
  /** The first process of a container does not end by its own signal, and goes on loading. */
  const endIfStopping = async () => {
    if (!stopping) return;
    await stopping;
    process.exit(0);
  };

  const load = async () => {
    const loaded = await startEngine({
      packDirectory,
      device: config.device,
      workers: config.inferenceWorkers,
      batchFrames: config.batchFrames,
      hangSeconds: config.workerTimeoutSeconds,
      script: new URL('./inference/worker.js', import.meta.url),
      logger,
      instruments,
    });
    await endIfStopping();
    const maxSessions = config.maxSessions ?? (await measureCapacity(loaded, logger));
    await endIfStopping();
    engine.serve(loaded);
    registry.admitUpTo(maxSessions, { cautious: config.maxSessions === undefined });
    logger.info({ ...engine.description, port, url: `${tls ? 'https' : 'http'}://localhost:${port}/` }, 'ready');
  };
  // What an earlier service has left can be seen before the model is there.
  await Promise.all([registry.restore(engine.serving), load()]);
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
