import type { Station } from '../inference/inference-queue.js';
import type { AudioEncoder } from './audio-encoder.js';
import type { Motion, MotionWindow } from './engine.js';
import type { FlowProblem, FlowSampler } from './flow-sampler.js';
import type { MotionGenerator } from './motion-generator.js';

/** One window to make motion for. */
export interface MotionTask {
  readonly generator: MotionGenerator;
  readonly window: MotionWindow;
}

/** Where windows of sound become motion, those of several sessions in one go when they ask for the same kind of it. */
export class MotionStation implements Station<MotionTask, Motion> {
  readonly sizes: readonly number[];
  readonly #audioEncoder: AudioEncoder;
  readonly #sampler: FlowSampler;

  constructor(audioEncoder: AudioEncoder, sampler: FlowSampler, sizes: readonly number[]) {
    this.#audioEncoder = audioEncoder;
    this.#sampler = sampler;
    this.sizes = sizes;
  }

  /** As many frames, found in as many steps, with as much guidance: what one run of the field has in common. */
  kind({ generator: { options }, window }: MotionTask): string {
    return `${window.frames}/${options.nfe}/${options.cfgScale}`;
  }

  async run(tasks: readonly MotionTask[]): Promise<Motion[]> {
    const { options } = tasks[0]!.generator;
    const courses: Generator<FlowProblem, Motion, Float32Array>[] = [];
    for (const { generator, window } of tasks) {
      courses.push(generator.generate(window, await this.#audioEncoder.encode(window)));
    }
    // In step: windows of one kind are cut into as many problems.
    let steps = courses.map((course) => course.next());
    while (!steps[0]!.done) {
      const problems = steps.map(({ value }) => value as FlowProblem);
      const solutions = await this.#sampler.solve(problems, options);
      steps = courses.map((course, i) => course.next(solutions[i]!));
    }
    return steps.map(({ value }) => value as Motion);
  }
}
