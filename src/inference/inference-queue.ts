import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { AppError } from '../errors.js';
import { isDeviceFailure } from './device-failure.js';

/**
 * A kind of work on the device of which several items can be done in one run: frames to draw, windows to make motion
 * for. Items of one station may belong to different sessions.
 */
export interface Station<Item, Result> {
  /** Numbers of items that one run may take, ascending, the first of them 1. */
  readonly sizes: readonly number[];
  /** Items of different kinds are never done in one run; left out, all are of one kind. */
  kind?(item: Item): unknown;
  /** Does the items in one run. @returns one result per item */
  run(items: readonly Item[]): Promise<readonly Result[]>;
  /** Whether an item more may come soon, so that a run which is not full is worth a few milliseconds' wait. */
  expectsMore?(items: readonly Item[]): boolean;
}

export interface Order {
  /** When the result is needed, milliseconds since the epoch. */
  readonly dueAt: number;
  /** Whose it is: `cancel` takes back all that an owner has waiting. */
  readonly owner: object;
}

interface Job extends Order {
  readonly station: Station<unknown, unknown>;
  readonly item: unknown;
  readonly kind: unknown;
  readonly arrivedAt: number;
  resolve(result: unknown): void;
  reject(reason: unknown): void;
}

/**
 * All that waits for one device. One run at a time, the most urgent job first (earliest deadline first: Liu and Layland,
 * JACM 20(1), 1973), and with it as many like it, in the order of their deadlines, as a run may take.
 *
 * Between two runs the event loop turns once, because a run blocks it: what arrived meanwhile takes part in the choice.
 */
export class InferenceQueue {
  readonly #waitMilliseconds: number;
  readonly #jobs: Job[] = [];
  #running = false;
  /** When the last run ended, by `performance.now()`. */
  #freeSince = 0;

  /** @param waitMilliseconds how long a job may wait for others to fill its run with, while nothing else is to do */
  constructor(waitMilliseconds: number) {
    this.#waitMilliseconds = waitMilliseconds;
  }

  /** @throws what the station's `run` throws for this item; AppError `session_closed` when cancelled */
  do<Item, Result>(station: Station<Item, Result>, item: Item, { dueAt, owner }: Order): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      const kind = station.kind?.(item);
      const arrivedAt = performance.now();
      const job = { station, item, kind, dueAt, owner, arrivedAt, resolve, reject } as unknown as Job;
      const behind = this.#jobs.findIndex((other) => other.dueAt > dueAt);
      this.#jobs.splice(behind < 0 ? this.#jobs.length : behind, 0, job);
      if (!this.#running) this.#work();
    });
  }

  /** Takes back what an owner has waiting; what is being run is finished. */
  cancel(owner: object): void {
    for (const job of this.#take((candidate) => candidate.owner === owner)) {
      job.reject(new AppError('session_closed', 'The session was closed.'));
    }
  }

  async #work(): Promise<void> {
    this.#running = true;
    while (this.#jobs.length > 0) {
      await turn();
      const batch = this.#next();
      if (!batch) {
        await sleep(1);
        continue;
      }
      await this.#run(batch);
      this.#freeSince = performance.now();
    }
    this.#running = false;
  }

  async #run(batch: readonly Job[]): Promise<void> {
    try {
      const results = await batch[0]!.station.run(batch.map(({ item }) => item));
      for (const [i, job] of batch.entries()) job.resolve(results[i]);
    } catch (error) {
      if (batch.length === 1 || isDeviceFailure(error)) {
        for (const job of batch) job.reject(error);
        return;
      }
      // One session's item may be at fault, or they were too many at once: the others shall not suffer.
      for (const job of batch) await this.#run([job]);
    }
  }

  /** Takes out the jobs of the next run; none when all would rather wait for company. */
  #next(): Job[] | undefined {
    const now = performance.now();
    const waiting = new Set<Job>();
    for (const { station, kind } of this.#jobs) {
      const alike = this.#jobs.filter((job) => job.station === station && job.kind === kind);
      if (waiting.has(alike[0]!)) continue;
      const most = station.sizes[station.sizes.length - 1]!;
      const patient = now - Math.max(alike[0]!.arrivedAt, this.#freeSince) < this.#waitMilliseconds;
      if (alike.length < most && patient && station.expectsMore?.(alike.map(({ item }) => item))) {
        waiting.add(alike[0]!);
        continue;
      }
      const size = station.sizes.findLast((candidate) => candidate <= alike.length)!;
      const chosen = new Set(alike.slice(0, size));
      return this.#take((job) => chosen.has(job));
    }
    return undefined;
  }

  #take(wanted: (job: Job) => boolean): Job[] {
    const taken = this.#jobs.filter(wanted);
    const rest = this.#jobs.filter((job) => !wanted(job));
    this.#jobs.splice(0, this.#jobs.length, ...rest);
    return taken;
  }
}
