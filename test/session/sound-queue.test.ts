import { SoundQueue } from '../../src/session/sound-queue.js';

it('gives the samples back in order, in any lengths', () => {
  const queue = new SoundQueue();
  const all = Float32Array.from({ length: 1000 }, (_, i) => i);
  for (let at = 0, size = 1; at < all.length; at += size, size = (size * 7) % 31 || 1) {
    queue.push(all.subarray(at, at + size));
  }
  expect(queue.length).toBe(1000);
  const taken: number[] = [];
  for (let size = 1; queue.length > 0; size = (size * 5) % 23 || 1) taken.push(...queue.take(size));
  expect(taken).toEqual([...all]);
});

it('gives what it has when asked for more', () => {
  const queue = new SoundQueue();
  queue.push(Float32Array.of(1, 2, 3));
  expect([...queue.take(5)]).toEqual([1, 2, 3]);
  expect(queue.length).toBe(0);
});
