import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { startEngine } from '../../src/inference/start-engine.js';
import { WorkerEngine } from '../../src/inference/worker-engine.js';
import { createLogger } from '../../src/log.js';
import { makeImtalkerPack } from '../support/imtalker-pack.js';

export const root = resolve(__dirname, '../..');

/** What is tested: `cuda` unless the variable says otherwise; `usable-device.cjs` has checked it. */
export const DEVICE = (process.env.GPU_TEST_DEVICE || 'cuda') as 'cuda' | 'tensorrt' | 'cpu';

const fullSize = process.env.GPU_TEST_PACK || join(root, 'models/imtalker');

interface TestPack {
  readonly name: string;
  /** @returns the pack's folder */
  make(): Promise<string>;
  /** The folder is for one test alone, and to be removed after it. */
  readonly temporary: boolean;
}

/** The repository's pack, a small one of IMTalker's kind, and a full-size one where there is one. */
export const PACKS: readonly TestPack[] = [
  { name: 'portrait', make: async () => join(root, 'models/portrait'), temporary: false },
  { name: 'small IMTalker', make: makeImtalkerPack, temporary: true },
  ...(existsSync(join(fullSize, 'pack.json'))
    ? [{ name: 'full-size', make: async () => resolve(fullSize), temporary: false }]
    : []),
];

/** An engine as the service starts it, except that on a CPU, too, the model runs in a process of its own. */
export function startTestEngine(packDirectory: string, device = DEVICE): Promise<WorkerEngine> {
  const options = {
    packDirectory,
    script: join(root, 'dist/inference/worker.js'),
    logger: createLogger(process.env.LOG_LEVEL ?? 'silent'),
  };
  if (device !== 'cpu') return startEngine({ ...options, device, workers: 1, batchFrames: undefined });
  const places = [{ kind: 'process' }] as const;
  return WorkerEngine.start({ ...options, device, deviceReason: 'test', batchFrames: 4, places });
}
