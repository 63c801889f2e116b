import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { AppError } from '../../src/errors.js';
import { FeedOrder } from '../../src/session/feed-order.js';

describe('FeedOrder', () => {
  it('runs chunks without an index in the order they came, one at a time', async () => {
    const order = new FeedOrder(1);
    const log: string[] = [];
    const chunk = (name: string, milliseconds: number) =>
      order.run(undefined, async () => {
        log.push(`${name} begins`);
        await new Promise((resolve) => setTimeout(resolve, milliseconds));
        log.push(`${name} ends`);
      });
    await Promise.all([chunk('a', 20), chunk('b', 1)]);
    expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
  });

  it('undoes reordering and accepts each index once', async () => {
    const order = new FeedOrder(5);
    const played: number[] = [];
    const feed = (index: number) => order.run(index, async () => void played.push(index));
    const outcomes = await Promise.all([feed(2), feed(0), feed(1), feed(0), feed(2)]);
    expect(played).toEqual([0, 1, 2]);
    expect(outcomes.filter((outcome) => outcome === 'duplicate')).toHaveLength(2);
  });

  it('leaves the index of a refused chunk free', async () => {
    const order = new FeedOrder(1);
    const refusal = order.run(0, () => Promise.reject(new AppError('invalid_audio', 'audio_chunk: noise')));
    await expect(refusal).rejects.toMatchObject({ code: 'invalid_audio' });
    await expect(order.run(0, async () => 'played')).resolves.toBe('played');
  });

  it('gives up on a gap after its time, naming both indices', async () => {
    const order = new FeedOrder(0.05);
    await expect(order.run(3, async () => undefined)).rejects.toMatchObject({
      code: 'chunk_missing',
      message: expect.stringMatching(/chunk_index: 3 came, but 0 did not/),
    });
  });

  it('gives up a chunk whose caller leaves before its turn, and lets go of what it holds', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage: () => void = runInNewContext('gc');
    const order = new FeedOrder(60);
    let open!: () => void;
    const holding = order.run(undefined, () => new Promise<void>((resolve) => (open = resolve)));
    const leaving = new AbortController();
    const played: number[] = [];
    const feed = (index?: number) => {
      const sound = new Uint8Array(1000);
      const run = order.run(index, async () => void played.push(sound.length), leaving.signal);
      return { sound: new WeakRef(sound), run };
    };
    const chunks = [feed(), feed(0), feed(7)];
    await new Promise((resolve) => setImmediate(resolve));
    leaving.abort(new Error('left'));
    for (const { run } of chunks) await expect(run).rejects.toThrow('left');
    await expect(feed().run).rejects.toThrow('left');
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    expect(chunks.map(({ sound }) => sound.deref())).toEqual([undefined, undefined, undefined]);
    open();
    await holding;
    await expect(order.run(0, async () => 'played')).resolves.toBe('played');
    expect(played).toEqual([]);
  });

  it('a chunk whose turn has come is accepted, though its caller leaves', async () => {
    const order = new FeedOrder(1);
    const leaving = new AbortController();
    const run = order.run(
      0,
      async () => {
        leaving.abort();
        return 'played';
      },
      leaving.signal,
    );
    await expect(run).resolves.toBe('played');
  });

  it('a leap of the time of day is no gap', async () => {
    const order = new FeedOrder(60);
    const early = order.run(2, async () => 'played');
    const { now: today } = Date;
    jest.spyOn(Date, 'now').mockImplementation(() => today() + 3_600_000);
    await order.run(0, async () => undefined);
    await order.run(1, async () => undefined);
    jest.restoreAllMocks();
    await expect(early).resolves.toBe('played');
  });
});
