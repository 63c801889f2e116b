import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkerPlace } from '../../src/inference/engine-worker.js';
import { WorkerEngine, type WorkerEngineOptions } from '../../src/inference/worker-engine.js';
import { createLogger } from '../../src/log.js';

const image = () => ({ width: 1, height: 1, data: new Uint8Array(3) });
const options = { crop: false, seed: 1, nfe: 5, cfgScale: 1 };
const window = () => ({
  startFrame: 0,
  frames: 1,
  overlapFrames: 0,
  contextFrames: 0,
  waveform: new Float32Array(640),
});
const motion = (frames: number) => ({ startFrame: 0, frames, tokens: new Float32Array(frames) });

function start(
  places: WorkerPlace[],
  script = 'mortal-worker.mjs',
  more: Partial<WorkerEngineOptions> = {},
): Promise<WorkerEngine> {
  return WorkerEngine.start({
    packDirectory: '',
    device: 'cpu',
    deviceReason: 'test',
    batchFrames: 5,
    places,
    script: resolve(__dirname, '../support', script),
    logger: createLogger('silent'),
    ...more,
  });
}

async function readyAgain(engine: WorkerEngine): Promise<void> {
  for (let i = 0; i < 500 && !engine.ready; i++) await sleep(20);
  expect(engine.ready).toBe(true);
}

describe.each(['thread', 'process'] as const)('over a worker %s', (kind) => {
  it('is not ready while its only worker is being replaced', async () => {
    const engine = await start([{ kind }]);
    const avatar = await engine.open(image(), options);
    await expect(avatar.render(motion(1), 0)).rejects.toThrow('The inference worker of this session died.');
    expect(engine.ready).toBe(false);
    await expect(engine.open(image(), options)).rejects.toMatchObject({ code: 'not_ready' });
    await readyAgain(engine);
    await (await engine.open(image(), options)).close();
    await engine.close();
  });

  it('says so when a worker ends before it is ready', async () => {
    await expect(start([{ kind }], 'still-born-worker.mjs')).rejects.toThrow('ended before it was ready: exit code 7');
  });

  it('replaces a worker that dies: its sessions end with an error, the others go on', async () => {
    const engine = await start([{ kind }, { kind }]);
    try {
      const first = await engine.open(image(), options);
      const second = await engine.open(image(), options);
      await expect(first.render(motion(1), 0)).rejects.toMatchObject({ code: 'internal' });
      expect(engine.ready).toBe(true);
      await expect(first.render(motion(1), 0)).rejects.toMatchObject({ code: 'internal' });
      await first.close();
      // The other worker's session answers still, and a new one finds a living worker.
      await second.close();
      await (await engine.open(image(), options)).close();
    } finally {
      await engine.close();
    }
    await expect(engine.open(image(), options)).rejects.toMatchObject({ code: 'not_ready' });
  });

  it('ends all sessions of a worker whose GPU failed, says why, and starts another', async () => {
    const engine = await start([{ kind }]);
    const [first, second] = [await engine.open(image(), options), await engine.open(image(), options)];
    const told = new Promise((resolve) => {
      second.onLost = resolve;
    });
    await expect(first.render(motion(2), 0)).rejects.toThrow('The GPU that drew this session failed.');
    expect(engine.ready).toBe(false);
    // One that asked for nothing is told too.
    expect(await told).toMatchObject({ message: expect.stringContaining('The GPU that drew this session failed.') });
    await expect(second.render(motion(1), 0)).rejects.toThrow('The GPU that drew this session failed.');
    await readyAgain(engine);
    await engine.close();
  });

  it('replaces a worker that lives and answers nothing, and only that', async () => {
    const log: string[] = [];
    const logger = createLogger('error', { write: (line) => void log.push(JSON.parse(line).msg) });
    const engine = await start([{ kind }, { kind }], undefined, { hangSeconds: 1, logger });
    const [hanging, other] = [await engine.open(image(), options), await engine.open(image(), options)];
    // Nobody waits for an answer: that is no hanging.
    await sleep(1500);
    expect(log).toEqual([]);
    const [drawing, waiting] = [hanging.render(motion(4), 0), hanging.generateMotion(window(), 0)];
    await expect(drawing).rejects.toThrow('The inference worker of this session died.');
    await expect(waiting).rejects.toMatchObject({ code: 'internal', cause: { message: 'no answer for 1 s' } });
    expect(log.slice(0, 2)).toEqual(['inference worker hangs', 'inference worker died, starting another']);
    await other.close();
    await (await engine.open(image(), options)).close();
    await engine.close();
  });

  it('does not wait for a worker with a broken GPU to end by itself', async () => {
    const engine = await start([{ kind }]);
    const avatar = await engine.open(image(), options);
    await expect(avatar.render(motion(3), 0)).rejects.toThrow('The GPU that drew this session failed.');
    await readyAgain(engine);
    await engine.close();
  });
});

it("closes in the middle of its threads' runs without taking the service with it", () => {
  const root = resolve(__dirname, '../..');
  const script = join(root, 'test/support/closed-while-busy.mjs');
  const { status, signal, stdout } = spawnSync(process.execPath, [script, root], { encoding: 'utf8' });
  expect({ status, signal, stdout }).toEqual({ status: 0, signal: null, stdout: 'closed\n' });
});

it.each([true, false])('ends with a thread that hangs in native code; noticed before: %s', async (noticed) => {
  const root = resolve(__dirname, '../..');
  const script = join(root, 'test/support/ended-while-hung.mjs');
  const child = spawn(process.execPath, [script, root, String(noticed)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const said = text(child.stdout);
  // The thread hangs until its input is closed, which is below.
  const [status, signal] = await once(child, 'exit');
  expect([status, signal]).toEqual([null, 'SIGKILL']);
  child.stdin.end();
  expect(await said).toBe('closed\n');
});

describe('on a GPU of which little is free', () => {
  const path = process.env.PATH;
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'facecast-gpu-'));
    process.env.FAKE_GPU = join(folder, 'gpu.csv');
    await writeFile(process.env.FAKE_GPU, '0, GPU-1, Tiny Tesla, 2000, 1500');
    await writeFile(join(folder, 'nvidia-smi'), '#!/bin/sh\ncat "$FAKE_GPU"\n');
    await chmod(join(folder, 'nvidia-smi'), 0o755);
    process.env.PATH = `${folder}:${path}`;
  });

  afterEach(async () => {
    process.env.PATH = path;
    delete process.env.FAKE_GPU;
    await rm(folder, { recursive: true, force: true });
  });

  it('knows what the model and a session take, and refuses what would not fit', async () => {
    const gpu = { uuid: 'GPU-1', name: 'Tiny Tesla', totalMib: 2000, freeMib: 1500 };
    const engine = await start([{ kind: 'process', gpu }]);
    try {
      expect(engine.gpus).toEqual([{ name: 'Tiny Tesla', totalMib: 2000, modelMib: 1000, sessionMib: 100 }]);
      expect(await engine.gpuMemory()).toEqual([{ ...engine.gpus[0], freeMib: 500 }]);
      const avatars = [];
      for (let i = 0; i < 5; i++) avatars.push(await engine.open(image(), options));
      await expect(engine.open(image(), options)).rejects.toMatchObject({
        code: 'gpu_memory_full',
        message: expect.stringContaining('The GPU has 0 MiB of memory free and a session takes 100 MiB.'),
      });
      await avatars[0]!.close();
      await engine.open(image(), options);
      expect(await readFile(process.env.FAKE_GPU!, 'utf8')).toMatch(/, 0$/);
    } finally {
      await engine.close();
    }
  });
});
