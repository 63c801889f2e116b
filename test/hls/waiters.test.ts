import { Waiters } from '../../src/hls/waiters.js';

afterEach(() => jest.useRealTimers());

describe('Waiters', () => {
  it('let go when what they wait for is true, and not before', async () => {
    const waiters = new Waiters(2);
    let ready = false;
    const waiting = waiters.until(() => ready, 60);
    waiters.wake();
    expect(waiters.size).toBe(1);
    ready = true;
    expect(waiters.size).toBe(1);
    waiters.wake();
    expect(waiters.size).toBe(0);
    await waiting;
  });

  it('do not wait for what is true', async () => {
    const waiters = new Waiters(0);
    await waiters.until(() => true, 60);
  });

  it('let go when the time is over', async () => {
    jest.useFakeTimers();
    const waiters = new Waiters(1);
    const waiting = waiters.until(() => false, 3);
    jest.advanceTimersByTime(2999);
    expect(waiters.size).toBe(1);
    jest.advanceTimersByTime(1);
    expect(waiters.size).toBe(0);
    await waiting;
    expect(jest.getTimerCount()).toBe(0);
  });

  it('reject when the client leaves, and when it has left before', async () => {
    const waiters = new Waiters(1);
    const client = new AbortController();
    const waiting = expect(waiters.until(() => false, 60, client.signal)).rejects.toBe('gone');
    client.abort('gone');
    expect(waiters.size).toBe(0);
    await waiting;
    await expect(waiters.until(() => true, 60, client.signal)).rejects.toBe('gone');
  });

  it('are bounded', async () => {
    const waiters = new Waiters(1);
    let ready = false;
    const waiting = waiters.until(() => ready, 60);
    await expect(waiters.until(() => false, 60)).rejects.toMatchObject({ code: 'not_ready', retryAfterSeconds: 1 });
    ready = true;
    waiters.wake();
    await waiting;
  });
});
