import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { SpeechStream, type SpeechStreamOptions } from '../../src/session/speech-stream.js';
import { sampleSpeech } from '../support/service.js';
import { FakeSession } from './fake-session.js';

const RATE = 8000;
const streams: SpeechStream[] = [];
afterEach(() => {
  for (const stream of streams.splice(0)) stream.stop();
});

/** So many seconds of PCM whose samples count up, so that each can be told from its neighbours. */
function counting(seconds: number, from = 0): Buffer {
  const bytes = Buffer.alloc(2 * Math.round(seconds * RATE));
  for (let i = 0; i < bytes.length / 2; i++) bytes.writeInt16LE((from + i) % 30_000, 2 * i);
  return bytes;
}

function heard(session: FakeSession): number[] {
  return session.spoken.flatMap((samples) => [...samples].map((sample) => Math.round(sample * 32768)));
}

function setUp(options: Partial<SpeechStreamOptions> = {}) {
  const session = (options.session as FakeSession | undefined) ?? new FakeSession(RATE);
  const told: string[] = [];
  const failures: unknown[] = [];
  const stream = new SpeechStream({
    session,
    format: 'pcm',
    highWaterSeconds: 10,
    listener: {
      onPaused: (paused) => told.push(paused ? 'paused' : 'resumed'),
      onUtteranceEnded: () => told.push('utterance ended'),
      onFinished: () => told.push('finished'),
      onFailure: (error) => failures.push(error),
    },
    ...options,
  });
  streams.push(stream);
  return { stream, session, told, failures };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}

it('brings every sample to the session in order, however it was cut', async () => {
  const { stream, session } = setUp();
  const bytes = counting(2);
  for (let at = 0; at < bytes.length; at += 333) stream.write(bytes.subarray(at, at + 333));
  stream.write(Buffer.alloc(0));
  await stream.close();
  expect(heard(session)).toEqual([...Array(2 * RATE).keys()].map((i) => i % 30_000));
  expect(session.rates).toEqual(new Set([RATE]));
  expect(session.calls).toEqual([{ call: 'endUtterance', after: 2 * RATE }]);
  expect(stream.acceptedSeconds).toBeCloseTo(2);
});

it('ends an utterance behind the sound that came before, and a talk behind both', async () => {
  const { stream, session, told } = setUp();
  stream.write(counting(1));
  stream.endUtterance();
  stream.write(counting(0.5, RATE));
  stream.finish();
  await until(() => told.includes('finished'));
  expect(session.calls).toEqual([
    { call: 'endUtterance', after: RATE },
    { call: 'finish', after: 1.5 * RATE },
  ]);
  expect(told).toEqual(['utterance ended', 'finished']);
});

it('holds back what is above the mark, says so, and loses nothing', async () => {
  const { stream, session, told } = setUp({ highWaterSeconds: 2 });
  stream.write(counting(5));
  await until(() => told.includes('paused'));
  expect(session.queuedSeconds).toBeGreaterThanOrEqual(2);
  // One piece above the mark, no more.
  expect(session.queuedSeconds).toBeLessThanOrEqual(2.25);
  expect(stream.paused).toBe(true);
  expect(session.queuedSeconds + stream.heldSeconds).toBeCloseTo(5);
  expect(stream.heldBytes).toBe(2 * RATE * stream.heldSeconds);
  while (stream.heldSeconds > 0) {
    session.play(0.3);
    await sleep(20);
  }
  // Everything is in, but the session is still full.
  expect(told).toEqual(['paused']);
  session.play(10);
  await until(() => told.length > 1);
  expect(told).toEqual(['paused', 'resumed']);
  expect(heard(session)).toEqual([...Array(5 * RATE).keys()].map((i) => i % 30_000));
});

it('holds nothing back any more while the talk comes to its end', async () => {
  const { stream, session, told } = setUp({ highWaterSeconds: 1 });
  session.finishing = new Promise(() => {});
  stream.write(counting(2));
  stream.finish();
  await until(() => told.includes('paused'));
  session.play(10);
  await until(() => session.calls.length > 0);
  session.play(10);
  await until(() => told.includes('resumed'));
  expect(session.calls).toEqual([{ call: 'finish', after: 2 * RATE }]);
});

it('waits where the session refuses for now, because others feed it too', async () => {
  const session = new FakeSession(RATE);
  session.maxQueuedSeconds = 1;
  const { stream, told } = setUp({ session });
  stream.write(counting(3));
  await until(() => told.includes('paused'));
  while (stream.heldSeconds > 0) {
    session.play(0.2);
    await sleep(20);
  }
  expect(heard(session)).toEqual([...Array(3 * RATE).keys()].map((i) => i % 30_000));
});

it('an interruption overtakes what is held, and what comes after it is heard', async () => {
  const { stream, session, told } = setUp({ highWaterSeconds: 2 });
  stream.write(counting(6));
  stream.endUtterance();
  await until(() => stream.paused);
  const { droppedSeconds } = await stream.interrupt();
  expect(droppedSeconds).toBeCloseTo(6);
  expect(stream.heldBytes).toBe(0);
  // Whoever waits for the end of the utterance is not left waiting.
  expect(told).toContain('utterance ended');
  const before = session.samples;
  stream.write(counting(1, 7000));
  await stream.close();
  expect(heard(session).slice(before)).toEqual([...Array(RATE).keys()].map((i) => 7000 + i));
  expect(session.calls.map(({ call }) => call)).toEqual(['interrupt', 'endUtterance']);
});

it("drops what it holds when somebody else interrupts, and tells nobody's seconds twice", async () => {
  const { stream, session } = setUp({ highWaterSeconds: 1 });
  stream.write(counting(3));
  await until(() => stream.paused);
  const held = stream.heldSeconds;
  expect(stream.dropHeld()).toBe(held);
  expect(stream.dropHeld()).toBe(0);
  session.play(10);
  await stream.close();
  expect(session.samples / RATE).toBeCloseTo(3 - held);
});

it('goes behind what an earlier stream still holds', async () => {
  const session = new FakeSession(RATE);
  const { stream: earlier } = setUp({ session, highWaterSeconds: 1 });
  earlier.write(counting(2));
  await until(() => earlier.paused);
  const { stream } = setUp({ session, highWaterSeconds: 1, after: earlier.close() });
  stream.write(counting(1, 20_000));
  await sleep(150);
  expect(heard(session).every((value) => value < 20_000)).toBe(true);
  session.play(10);
  await until(() => session.samples >= 2 * RATE);
  session.play(10);
  await stream.close();
  expect(heard(session).slice(2 * RATE)).toEqual([...Array(RATE).keys()].map((i) => 20_000 + i));
});

it('fails once when the session is over, and takes no more', async () => {
  const { stream, session, failures } = setUp();
  stream.write(counting(0.1));
  await until(() => session.samples > 0);
  session.end('FFmpeg has ended.');
  stream.write(counting(0.1));
  stream.write(counting(0.1));
  await until(() => failures.length > 0);
  expect(failures).toEqual([expect.objectContaining({ code: 'session_closed', message: 'FFmpeg has ended.' })]);
  stream.write(counting(1));
  await stream.close();
  expect(stream.heldBytes).toBe(0);
  expect(session.samples).toBe(0.1 * RATE);
});

describe('a recording', () => {
  let recording: Buffer;
  beforeAll(async () => {
    const { stdout } = await promisify(execFile)(
      'ffmpeg',
      [
        ...['-nostdin', '-v', 'error', '-stream_loop', '-1', '-i', sampleSpeech, '-t', '12'],
        ...['-c:a', 'libopus', '-b:a', '64k', '-vbr', 'off', '-live', '1', '-f', 'webm', '-'],
      ],
      { encoding: 'buffer', maxBuffer: 1 << 28 },
    );
    recording = stdout;
  });

  it('is heard whole, and its utterance ended behind it', async () => {
    const { stream, session, told } = setUp({ format: 'webm', highWaterSeconds: 60 });
    stream.write(recording.subarray(0, 2000));
    stream.write(recording.subarray(2000));
    stream.endUtterance();
    await until(() => told.length > 0);
    stream.finish();
    await until(() => told.includes('finished'));
    expect(session.rates).toEqual(new Set([48_000]));
    expect(session.samples / 48_000).toBeCloseTo(12, 1);
    const [ended, finished] = session.calls;
    expect(finished).toEqual({ call: 'finish', after: session.samples });
    // When the decoder has given all is told by its silence, which is no proof on a busy machine.
    expect(ended.call).toBe('endUtterance');
    expect(ended.after).toBeGreaterThan(0);
  });

  it('is held back above the mark, and goes on behind an interruption', async () => {
    const { stream, session, told, failures } = setUp({ format: 'webm', highWaterSeconds: 1 });
    const third = Math.floor(recording.length / 3);
    stream.write(recording.subarray(0, 2 * third));
    await until(() => told.includes('paused'));
    const before = session.samples;
    // The mark, and what FFmpeg hands out at once.
    expect(before / 48_000).toBeLessThan(2);
    await stream.interrupt();
    stream.write(recording.subarray(2 * third));
    session.queuedSeconds = -1000;
    await stream.close();
    expect(failures).toEqual([]);
    // The first two thirds are decoded and not heard; the last is.
    const after = (session.samples - before) / 48_000;
    expect(after).toBeGreaterThan(3.8);
    expect(after).toBeLessThanOrEqual(4.1);
  });

  it('that is none fails with invalid_audio', async () => {
    const { stream, failures } = setUp({ format: 'webm' });
    stream.write(Buffer.from('this is no recording'));
    await stream.close();
    expect(failures).toEqual([expect.objectContaining({ code: 'invalid_audio' })]);
  });
});
