import { Unsettled } from '../../src/hls/unsettled.js';

const bytes = (...values: number[]) => Uint8Array.from(values);
const kept = (stream: Unsettled<Uint8Array>) => stream.pieces.map((piece) => [...piece]);

describe('Unsettled', () => {
  it('keeps what was pushed until it is settled, wherever the pieces were cut', () => {
    const stream = new Unsettled<Uint8Array>();
    stream.push(bytes(0, 1, 2));
    stream.push(bytes());
    stream.push(bytes(3));
    stream.push(bytes(4, 5, 6, 7));
    expect([stream.start, stream.end, kept(stream)]).toEqual([0, 8, [[0, 1, 2], [3], [4, 5, 6, 7]]]);
    stream.settle(2);
    expect([stream.start, stream.end, kept(stream)]).toEqual([2, 8, [[2], [3], [4, 5, 6, 7]]]);
    stream.settle(5);
    expect([stream.start, stream.end, kept(stream)]).toEqual([5, 8, [[5, 6, 7]]]);
    stream.push(bytes(8));
    expect([stream.start, stream.end, kept(stream)]).toEqual([5, 9, [[5, 6, 7], [8]]]);
  });

  it('takes a position it is past, or that is not there yet', () => {
    const stream = new Unsettled<Uint8Array>();
    stream.push(bytes(0, 1, 2));
    stream.settle(2);
    stream.settle(1);
    expect([stream.start, kept(stream)]).toEqual([2, [[2]]]);
    stream.settle(Number.POSITIVE_INFINITY);
    expect([stream.start, stream.end, kept(stream)]).toEqual([3, 3, []]);
    stream.push(bytes(3));
    expect([stream.start, stream.end, kept(stream)]).toEqual([3, 4, [[3]]]);
  });
});
