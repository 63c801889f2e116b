import type { InferenceQueue, Station } from '../inference/inference-queue.js';
import type { Avatar, Motion, MotionWindow } from './engine.js';
import type { MotionGenerator } from './motion-generator.js';
import type { MotionStation, MotionTask } from './motion-station.js';
import type { IdentityTensors, Pose } from './renderer.js';
import { stack } from './stack.js';

export interface LocalAvatarParts {
  readonly warnings: readonly string[];
  readonly generator: MotionGenerator;
  readonly identity: IdentityTensors;
  readonly queue: InferenceQueue;
  readonly motion: MotionStation;
  readonly drawing: Station<Pose, Uint8Array>;
  onClose(): void;
}

/** A portrait that a `LocalEngine` has opened: what is its own, and its place in the queue that all share. */
export class LocalAvatar implements Avatar {
  readonly warnings: readonly string[];
  readonly identity: IdentityTensors;
  /** When it was last asked for motion or frames, by `performance.now()`. */
  lastAsked = Number.NEGATIVE_INFINITY;
  readonly #parts: LocalAvatarParts;

  constructor(parts: LocalAvatarParts) {
    this.warnings = parts.warnings;
    this.identity = parts.identity;
    this.#parts = parts;
  }

  task(window: MotionWindow): MotionTask {
    return { generator: this.#parts.generator, window };
  }

  generateMotion(window: MotionWindow, dueAt: number): Promise<Motion> {
    this.lastAsked = performance.now();
    const { queue, motion } = this.#parts;
    const task = this.task(window);
    return queue.do(motion, task, { dueAt, owner: this });
  }

  async render({ frames, tokens }: Motion, dueAt: number): Promise<Uint8Array> {
    this.lastAsked = performance.now();
    const { queue, drawing } = this.#parts;
    const D = tokens.length / frames;
    // All by the deadline of the first: the more of a session's frames a run has, the fewer identities it carries.
    const drawn = await Promise.all(
      Array.from({ length: frames }, (_, i) => {
        const pose = { tokens: tokens.subarray(i * D, (i + 1) * D), identity: this.identity };
        return queue.do(drawing, pose, { dueAt, owner: this });
      }),
    );
    const whole = stack(drawn);
    // A buffer of its own, which may be handed to another thread: one that holds other sessions' frames too may not.
    return whole.byteLength === whole.buffer.byteLength ? whole : whole.slice();
  }

  async close(): Promise<void> {
    this.#parts.queue.cancel(this);
    this.#parts.onClose();
  }
}
