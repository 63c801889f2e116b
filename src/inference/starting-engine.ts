import type { Avatar, AvatarEngine, AvatarOptions, EngineDescription, GpuMemory, GpuUse } from '../avatar/engine.js';
import type { RgbImage } from '../avatar/image.js';
import type { ModelPack } from './model-pack.js';
import { BATCH_FRAMES } from './start-engine.js';
import type { WorkerEngine } from './worker-engine.js';

/**
 * The engine from the first instant on: until the workers have loaded the model it knows what the pack says, and whoever opens a
 * session waits. So sessions of an earlier service are there to be seen, and fed, before the model is.
 */
export class StartingEngine implements AvatarEngine {
  #description: EngineDescription;
  #engine: WorkerEngine | undefined;
  #serve!: (engine: WorkerEngine) => void;
  readonly #serving: Promise<WorkerEngine>;

  /** @param batchFrames frames of one run of the renderer at most; undefined: what suits the device */
  constructor(facts: ModelPack['facts'], batchFrames: number = BATCH_FRAMES[facts.device === 'cpu' ? 'cpu' : 'cuda']) {
    this.#description = {
      ...{ pack: facts.name, device: 'cpu', deviceReason: 'being found out', fps: facts.fps, batchFrames },
      ...{ width: facts.frame.width, height: facts.frame.height, contextFrames: facts.audio.context_frames },
    };
    this.#serving = new Promise((resolve) => {
      this.#serve = resolve;
    });
  }

  /** From now on sessions are opened in this engine. */
  serve(engine: WorkerEngine): void {
    this.#engine = engine;
    this.#description = engine.description;
    this.#serve(engine);
  }

  /** Resolves when sessions are opened. */
  get serving(): Promise<void> {
    return this.#serving.then(() => undefined);
  }

  get description(): EngineDescription {
    return this.#description;
  }

  get ready(): boolean {
    return this.#engine?.ready ?? false;
  }

  get workers(): number {
    return this.#engine?.workers ?? 0;
  }

  get gpus(): readonly GpuUse[] {
    return this.#engine?.gpus ?? [];
  }

  async gpuMemory(): Promise<readonly GpuMemory[]> {
    return (await this.#engine?.gpuMemory()) ?? [];
  }

  async open(portrait: RgbImage, options: AvatarOptions): Promise<Avatar> {
    return (await this.#serving).open(portrait, options);
  }

  async measureCost(): Promise<number> {
    return (await this.#serving).measureCost();
  }

  async close(): Promise<void> {
    await this.#engine?.close();
  }
}
