import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Avatar, AvatarEngine, Motion, MotionWindow } from '../../src/avatar/engine.js';
import { AppError } from '../../src/errors.js';
import { createApp } from '../../src/http/app.js';
import type { ServiceHealth } from '../../src/http/health.js';
import { WorkerEngine } from '../../src/inference/worker-engine.js';
import { createLogger } from '../../src/log.js';
import { Instruments } from '../../src/metrics/instruments.js';
import { type NewSession, SessionRegistry } from '../../src/session/session-registry.js';
import { MetricsPage } from '../support/metrics-page.js';
import { samplePortrait } from '../support/service.js';

const SIDE = 64;
const logger = createLogger('silent');
const pageOf = async ({ registry }: Instruments) => new MetricsPage(await registry.metrics());

/** Draws grey frames, some of them too late. */
class GreyEngine implements AvatarEngine {
  readonly description = {
    ...({ pack: 'grey', device: 'cpu', deviceReason: 'test', fps: 25, width: SIDE, height: SIDE } as const),
    ...{ contextFrames: 0, batchFrames: 5 },
  };
  readonly ready = true;
  /** Milliseconds that a drawing from this frame on takes. */
  slow = { from: Number.POSITIVE_INFINITY, milliseconds: 0 };
  failure: Error | undefined;

  async open(): Promise<Avatar> {
    return {
      warnings: [],
      generateMotion: async ({ startFrame, frames, overlapFrames }: MotionWindow) => {
        if (this.failure) throw this.failure;
        const count = frames - overlapFrames;
        return { startFrame, frames: count, tokens: new Float32Array(count) };
      },
      render: async ({ startFrame, frames }: Motion) => {
        if (startFrame >= this.slow.from) await sleep(this.slow.milliseconds);
        return new Uint8Array((frames * SIDE * SIDE * 3) / 2).fill(128);
      },
      close: async () => {},
    };
  }

  async measureCost(): Promise<number> {
    return 0;
  }

  async close(): Promise<void> {}
}

describe('of sessions', () => {
  const engine = new GreyEngine();
  let instruments: Instruments;
  let registry: SessionRegistry;
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'facecast-instruments-'));
    instruments = new Instruments();
    registry = new SessionRegistry({
      ...{ engine, hlsDirectory: folder, maxSessions: 4, maxQueuedSeconds: 60, idleMinutes: 50, partMilliseconds: 200 },
      ...{ logger, instruments },
    });
    engine.slow = { from: Number.POSITIVE_INFINITY, milliseconds: 0 };
    engine.failure = undefined;
  });
  afterEach(async () => {
    await registry.drain(0);
    await rm(folder, { recursive: true, force: true });
  });

  async function open(live: NewSession['live']) {
    const request = {
      ...{ id: undefined, image: await readFile(samplePortrait), live, chunkDuration: 0.4, audioSampleRate: 16000 },
      ...{ pictureSize: undefined, avatar: { crop: false, seed: 0, nfe: 5, cfgScale: 2 } },
    };
    return (await registry.open(request)).session;
  }

  async function reached(series: string, least: number): Promise<number> {
    for (let i = 0; i < 1000; i++) {
      const value = (await pageOf(instruments)).value(series) ?? 0;
      if (value >= least) return value;
      await sleep(10);
    }
    throw new Error(`${series} never came to ${least}.`);
  }

  it('counts frames that came too late, and only those', async () => {
    engine.slow = { from: 20, milliseconds: 1000 };
    const session = await open({ record: false });
    await reached('frames_held_total', 5);
    // Those before were drawn in time; what is drawn too late is not shown.
    expect(session.framesGenerated).toBeGreaterThanOrEqual(25);
    expect((await pageOf(instruments)).value('frames_held_total')).toBeLessThanOrEqual(session.framesGenerated - 20);
  });

  it('counts an FFmpeg that takes the place of a dead one, which is no failure', async () => {
    const session = await open({ record: false });
    await reached('part_lateness_seconds_count', 3);
    process.kill(session.stream.pid!, 'SIGKILL');
    expect(await reached('encoder_restarts_total', 1)).toBe(1);
    const parts = (await pageOf(instruments)).value('part_lateness_seconds_count')!;
    await reached('part_lateness_seconds_count', parts + 3);
    expect((await pageOf(instruments)).value('sessions_failed_total kind=live')).toBe(0);
  });

  it('counts a session that fails, by its kind', async () => {
    engine.failure = new Error('out of order');
    await open({ record: false });
    expect(await reached('sessions_failed_total kind=live', 1)).toBe(1);
    expect((await pageOf(instruments)).value('sessions_failed_total kind=fed')).toBe(0);
  });
});

it('counts inference workers that are replaced', async () => {
  const instruments = new Instruments();
  const engine = await WorkerEngine.start({
    ...{ packDirectory: '', device: 'cpu', deviceReason: 'test', batchFrames: 5, places: [{ kind: 'thread' }] },
    ...{ script: resolve(__dirname, '../support/mortal-worker.mjs'), logger, instruments },
  });
  const picture = { width: 1, height: 1, data: new Uint8Array(3) };
  const avatar = await engine.open(picture, { crop: false, seed: 1, nfe: 5, cfgScale: 1 });
  await expect(avatar.render({ startFrame: 0, frames: 1, tokens: new Float32Array(1) }, 0)).rejects.toThrow('died');
  for (let i = 0; i < 500 && !engine.ready; i++) await sleep(20);
  expect((await pageOf(instruments)).value('worker_restarts_total')).toBe(1);
  await engine.close();
});

describe('of the service', () => {
  async function serving<T>(service: () => ServiceHealth, use: (url: string) => Promise<T>): Promise<T> {
    const nowhere = { webDirectory: '/nowhere', clientDirectory: '/nowhere', playerDirectory: '/nowhere' };
    const app = createApp({ ...nowhere, service, corsOrigin: '*', logger, instruments: new Instruments() });
    const server = createServer(app).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    try {
      return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    } finally {
      server.close();
    }
  }

  const page = (service: () => ServiceHealth) => serving(service, MetricsPage.read);

  it('answers before the model is there', async () => {
    const found = await page(() => {
      throw new AppError('not_ready', 'The model is being loaded.');
    });
    expect(found.value('ready')).toBe(0);
    expect(found.value('sessions_max')).toBe(0);
  });

  it('looks once for all who ask at the same time', async () => {
    let looks = 0;
    const registry = { draining: false, all: () => [] } as unknown as SessionRegistry;
    const service = () => ({
      ...({ ready: true, registry, maxSessions: 3, inferenceWorkers: 2, gpus: [] } as unknown as ServiceHealth),
      gpuMemory: async () => {
        looks++;
        await sleep(200);
        return [];
      },
    });
    await serving(service, async (url) => {
      await Promise.all([MetricsPage.read(url), MetricsPage.read(url), MetricsPage.read(url)]);
      expect(looks).toBe(1);
      await MetricsPage.read(url);
      expect(looks).toBe(2);
    });
  });

  it('tells the memory of each GPU in bytes, what is free as far as it is known', async () => {
    const gpu = { name: 'A', totalMib: 1000, modelMib: 300, sessionMib: 40 };
    const registry = { draining: false, all: () => [] } as unknown as SessionRegistry;
    const found = await page(() => ({
      ...({ ready: true, registry, maxSessions: 3, inferenceWorkers: 2, gpus: [] } as unknown as ServiceHealth),
      gpuMemory: async () => [
        { ...gpu, freeMib: 500 },
        { ...gpu, freeMib: undefined },
      ],
    }));
    const memory = (index: number) =>
      ['total', 'free', 'model', 'session'].map((part) => found.value(`gpu_memory_bytes gpu=${index} part=${part}`));
    expect(memory(0)).toEqual([1000, 500, 300, 40].map((mib) => mib * 1024 * 1024));
    expect(memory(1)[1]).toBeUndefined();
    expect(found.value('ready')).toBe(1);
  });
});
