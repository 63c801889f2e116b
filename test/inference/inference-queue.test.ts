import { InferenceQueue, type Station } from '../../src/inference/inference-queue.js';

/** A station that notes its runs; items are `owner + number`. */
function station(runs: string[][], sizes: number[], more: Partial<Station<string, string>> = {}) {
  return {
    sizes,
    run: async (items: readonly string[]) => {
      runs.push([...items]);
      return items.map((item) => item.toUpperCase());
    },
    ...more,
  };
}

const mine = {};

it('does the most urgent first, and with it as many of its kind as a run takes', async () => {
  const runs: string[][] = [];
  const frames = station(runs, [1, 2, 3]);
  const queue = new InferenceQueue(0);
  const results = await Promise.all([
    queue.do(frames, 'late', { dueAt: 400, owner: mine }),
    queue.do(frames, 'b', { dueAt: 200, owner: mine }),
    queue.do(frames, 'c', { dueAt: 300, owner: mine }),
    queue.do(frames, 'a', { dueAt: 100, owner: mine }),
  ]);
  expect(runs).toEqual([['a', 'b', 'c'], ['late']]);
  expect(results).toEqual(['LATE', 'B', 'C', 'A']);
});

it('keeps the order of arrival among equally urgent jobs', async () => {
  const runs: string[][] = [];
  const queue = new InferenceQueue(0);
  const frames = station(runs, [1]);
  await Promise.all(['a', 'b', 'c'].map((item) => queue.do(frames, item, { dueAt: 5, owner: mine })));
  expect(runs).toEqual([['a'], ['b'], ['c']]);
});

it('takes only sizes that the station has', async () => {
  const runs: string[][] = [];
  const queue = new InferenceQueue(0);
  const frames = station(runs, [1, 2, 4]);
  await Promise.all([...'abcdefg'].map((item, dueAt) => queue.do(frames, item, { dueAt, owner: mine })));
  expect(runs).toEqual([['a', 'b', 'c', 'd'], ['e', 'f'], ['g']]);
});

it('never mixes kinds or stations in one run', async () => {
  const runs: string[][] = [];
  const queue = new InferenceQueue(0);
  const frames = station(runs, [1, 2, 3, 4], { kind: (item) => item[0] });
  const windows = station(runs, [1, 2, 3, 4]);
  await Promise.all([
    queue.do(frames, 'x1', { dueAt: 1, owner: mine }),
    queue.do(frames, 'y1', { dueAt: 2, owner: mine }),
    queue.do(windows, 'w', { dueAt: 3, owner: mine }),
    queue.do(frames, 'x2', { dueAt: 4, owner: mine }),
    queue.do(frames, 'y2', { dueAt: 5, owner: mine }),
  ]);
  expect(runs).toEqual([['x1', 'x2'], ['y1', 'y2'], ['w']]);
});

it('lets what arrives during a run into the next choice', async () => {
  const runs: string[][] = [];
  const queue = new InferenceQueue(0);
  const others: Promise<string>[] = [];
  const frames = station(runs, [1], {
    run: async ([item]) => {
      runs.push([item!]);
      if (item === 'first') others.push(queue.do(frames, 'urgent', { dueAt: 1, owner: mine }));
      return [item!];
    },
  });
  await Promise.all([
    queue.do(frames, 'first', { dueAt: 10, owner: mine }),
    queue.do(frames, 'second', { dueAt: 20, owner: mine }),
  ]);
  await Promise.all(others);
  expect(runs).toEqual([['first'], ['urgent'], ['second']]);
});

it('waits for company that is expected, and does other work meanwhile', async () => {
  const runs: string[][] = [];
  const queue = new InferenceQueue(600_000);
  const frames = station(runs, [1, 2], { expectsMore: (items) => items.length < 2 });
  const windows = station(runs, [1]);
  const early = queue.do(frames, 'a', { dueAt: 1, owner: mine });
  await queue.do(windows, 'w', { dueAt: 2, owner: mine });
  expect(runs).toEqual([['w']]);
  await Promise.all([early, queue.do(frames, 'b', { dueAt: 3, owner: mine })]);
  expect(runs).toEqual([['w'], ['a', 'b']]);
});

it('does not wait for ever', async () => {
  const runs: string[][] = [];
  const queue = new InferenceQueue(5);
  await queue.do(station(runs, [1, 2], { expectsMore: () => true }), 'alone', { dueAt: 4, owner: mine });
  expect(runs).toEqual([['alone']]);
});

it('lets only those items of a run fail that fail by themselves', async () => {
  const runs: string[][] = [];
  const queue = new InferenceQueue(0);
  const frames = station(runs, [1, 2, 3], {
    run: async (items) => {
      runs.push([...items]);
      if (items.includes('bad')) throw new Error(`not these: ${items}`);
      return items;
    },
  });
  const outcomes = await Promise.allSettled(
    ['a', 'bad', 'c'].map((item, dueAt) => queue.do(frames, item, { dueAt, owner: mine })),
  );
  expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(runs).toEqual([['a', 'bad', 'c'], ['a'], ['bad'], ['c']]);
});

it('asks a device that failed for nothing more', async () => {
  const runs: string[][] = [];
  const queue = new InferenceQueue(0);
  const frames = station(runs, [1, 2], {
    run: async (items) => {
      runs.push([...items]);
      throw new Error('CUDA failure 700: an illegal memory access was encountered');
    },
  });
  const outcomes = await Promise.allSettled(
    ['a', 'b'].map((item, dueAt) => queue.do(frames, item, { dueAt, owner: mine })),
  );
  expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'rejected']);
  expect(runs).toEqual([['a', 'b']]);
});

it('takes back what an owner has waiting', async () => {
  const runs: string[][] = [];
  const queue = new InferenceQueue(0);
  const frames = station(runs, [1]);
  const [gone, stays] = [{}, {}];
  const lost = queue.do(frames, 'lost', { dueAt: 1, owner: gone });
  const kept = queue.do(frames, 'kept', { dueAt: 2, owner: stays });
  queue.cancel(gone);
  await expect(lost).rejects.toMatchObject({ code: 'session_closed' });
  expect(await kept).toBe('KEPT');
  expect(runs).toEqual([['kept']]);
});
