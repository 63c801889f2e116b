import type { Instruments, Stage } from './instruments.js';

/** Does the work and notes how long a stage took, if it succeeded. */
export async function timed<T>(instruments: Instruments | undefined, stage: Stage, work: () => Promise<T>): Promise<T> {
  const done = instruments?.stageSeconds.startTimer({ stage });
  const result = await work();
  done?.();
  return result;
}
