import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Avatar, AvatarEngine, Motion, MotionWindow } from '../../src/avatar/engine.js';
import { now } from '../../src/clock.js';
import { AppError } from '../../src/errors.js';
import { createLogger } from '../../src/log.js';
import type { Session } from '../../src/session/session.js';
import { type NewSession, SessionRegistry } from '../../src/session/session-registry.js';
import { wav } from '../support/media.js';
import { samplePortrait } from '../support/service.js';

const SIZE = 64;
const FRAME_BYTES = (SIZE * SIZE * 3) / 2;

/** An engine that draws grey frames, as fast or as slowly as a test wants. Everything behind it is real. */
class GreyEngine implements AvatarEngine {
  readonly description = {
    pack: 'grey',
    device: 'cpu' as const,
    deviceReason: 'test',
    fps: 25,
    width: SIZE,
    height: SIZE,
    contextFrames: 0,
    batchFrames: 5,
  };
  readonly ready = true;
  readonly avatars = new Set<Avatar>();
  /** What was asked for, when, and by when; milliseconds since the epoch. */
  readonly asked: { startFrame: number; dueAt: number; at: number }[] = [];
  openMilliseconds = 0;
  renderMilliseconds = 0;
  failure: Error | undefined;

  /** Frames are not drawn before the avatar is closed, and then not at all. */
  waiting = false;
  /** What draws an avatar dies as soon as that is open. */
  dying = false;

  async open(): Promise<Avatar> {
    await pause(this.openMilliseconds);
    const lost = this.dying ? new AppError('internal', 'The worker died.') : undefined;
    let onLost: Avatar['onLost'];
    let cancel: (reason: AppError) => void = () => undefined;
    const closed = new Promise<never>((_resolve, reject) => {
      cancel = reject;
    });
    closed.catch(() => undefined);
    const avatar: Avatar = {
      warnings: [],
      get onLost() {
        return onLost;
      },
      set onLost(listener) {
        onLost = listener;
        if (lost) listener?.(lost);
      },
      generateMotion: async ({ startFrame, frames, overlapFrames }: MotionWindow, dueAt: number) => {
        this.asked.push({ startFrame, dueAt, at: now() });
        const count = frames - overlapFrames;
        return { startFrame, frames: count, tokens: new Float32Array(count) };
      },
      render: async ({ startFrame, frames }: Motion, dueAt: number) => {
        this.asked.push({ startFrame, dueAt, at: now() });
        // As a talk that is far ahead waits for those that are not.
        if (this.waiting) await closed;
        await pause(this.renderMilliseconds);
        if (this.failure) throw this.failure;
        return new Uint8Array(frames * FRAME_BYTES).fill(128);
      },
      close: async () => {
        cancel(new AppError('session_closed', 'The session was closed.'));
        this.avatars.delete(avatar);
      },
    };
    this.avatars.add(avatar);
    return avatar;
  }

  async measureCost(): Promise<number> {
    return 0.1;
  }

  async close(): Promise<void> {}
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

let engine: GreyEngine;
let registry: SessionRegistry;
let hlsDirectory: string;
let image: Buffer;

beforeAll(async () => {
  image = await readFile(samplePortrait);
});

beforeEach(async () => {
  hlsDirectory = await mkdtemp(join(tmpdir(), 'facecast-registry-'));
  engine = new GreyEngine();
  registry = new SessionRegistry(settings());
});

const settings = () => ({
  engine,
  hlsDirectory,
  maxSessions: 3,
  maxQueuedSeconds: 3,
  idleMinutes: 50,
  partMilliseconds: 200,
  logger: createLogger('silent'),
});

afterEach(async () => {
  await registry.drain(0);
  await rm(hlsDirectory, { recursive: true, force: true });
});

function wanted(id?: string): NewSession {
  const avatar = { crop: true, seed: 1, nfe: 5, cfgScale: 1 };
  return { id, image, avatar, live: undefined, chunkDuration: 1, audioSampleRate: 16000, pictureSize: undefined };
}

const open = async (id?: string): Promise<Session> => (await registry.open(wanted(id))).session;

const chunk = (seconds: number, final = false, index?: number) => ({
  audio: { bytes: wav(Buffer.alloc(seconds * 32000), 16000), contentType: 'audio/wav', fileName: 'chunk.wav' },
  final,
  index,
});

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (condition()) return;
    await pause(10);
  }
  throw new Error(`Waited in vain: ${what}`);
}

it('a session is idle by the time that went by, and not by the time of day', async () => {
  const setting = jest.spyOn(global, 'setInterval');
  await registry.drain(0);
  registry = new SessionRegistry(settings());
  const lookForIdle = setting.mock.calls[0]![0];
  setting.mockRestore();
  const { state, id } = await open();
  expect(state).toBe('waiting_for_audio');
  const { now: today } = Date;
  jest.spyOn(Date, 'now').mockImplementation(() => today() + 24 * 3_600_000);
  lookForIdle();
  jest.restoreAllMocks();
  expect(registry.get(id).state).toBe('waiting_for_audio');
  const instant = process.hrtime.bigint() + 51n * 60n * 1_000_000_000n;
  jest.spyOn(process.hrtime, 'bigint').mockReturnValue(instant);
  lookForIdle();
  jest.restoreAllMocks();
  expect(() => registry.get(id)).toThrow('there is no such session');
});

it('asks for frames by the time they would be shown, and anew after a pause', async () => {
  const session = await open();
  const speak = async () => {
    const from = engine.asked.length;
    const spoken = now();
    await session.feed(chunk(2));
    await until(() => engine.asked.length > from && session.state === 'waiting_for_audio', 'rendered');
    const [first, ...rest] = engine.asked.slice(from);
    // Due at once, however long ago its frame would have been due by an earlier clock.
    expect(first!.dueAt).toBeGreaterThanOrEqual(spoken);
    for (const { startFrame, dueAt, at } of rest) {
      const shown = first!.dueAt + (startFrame - first!.startFrame) * 40;
      expect(dueAt).toBeGreaterThanOrEqual(shown);
      expect(dueAt).toBeLessThanOrEqual(Math.max(shown, at - 200));
    }
    return first!.startFrame;
  };
  expect(await speak()).toBe(0);
  await pause(2500);
  expect(await speak()).toBeGreaterThan(20);
});

it('is never so late that it keeps others from being drawn', async () => {
  const session = await open();
  engine.renderMilliseconds = 400;
  await session.feed(chunk(3, true));
  await until(() => session.state === 'complete', 'complete');
  // Five frames in 400 ms: without a bound the last would be three seconds late.
  expect(Math.max(...engine.asked.map(({ at, dueAt }) => at - dueAt))).toBeLessThan(1500);
});

it('takes no other session where those that are there are late, if it went by a measurement', async () => {
  const slow = await open();
  engine.renderMilliseconds = 1500;
  registry.admitUpTo(3, { cautious: true });
  await slow.feed(chunk(3, true));
  await until(() => slow.lagSeconds > 1, 'late');
  // A session has just been opened, and opening alone may have made others late.
  await open();
  await pause(10_100);
  await expect(registry.open(wanted())).rejects.toMatchObject({
    code: 'too_many_sessions',
    message: expect.stringContaining('1 of the 2 sessions here are late'),
    retryAfterSeconds: 10,
  });
  // The operator's own number is kept to.
  registry.admitUpTo(3);
  await open();
  engine.renderMilliseconds = 0;
  await until(() => slow.state === 'complete', 'complete');
}, 60_000);

it('deletes a talk whose frames wait for their turn', async () => {
  engine.waiting = true;
  const session = await open();
  await session.feed(chunk(3));
  await until(() => session.state === 'processing', 'processing');
  await registry.delete(session.id);
  expect(engine.avatars.size).toBe(0);
});

it('does not open a session whose workers die again and again', async () => {
  engine.dying = true;
  const opened = await registry.open(wanted()).catch((error: AppError) => error);
  // Where the machine is busy, the last of them dies when the session is there already: then it ends with an error.
  if (opened instanceof AppError) expect([opened.code, registry.size]).toEqual(['not_ready', 0]);
  else await until(() => opened.session.state === 'error', 'given up');
  await until(() => engine.avatars.size === 0, 'avatars closed');
});

it('a chunk of any length may follow when nothing is being rendered', async () => {
  const session = await open();
  for (let i = 0; i < 3; i++) {
    await session.feed(chunk(4));
    await until(() => session.state === 'waiting_for_audio', 'rendered');
  }
  expect(session.framesGenerated).toBeGreaterThan(3 * 4 * 25 - 25);
});

it('too much waiting speech is refused while frames are being made, and nothing of it is played', async () => {
  engine.renderMilliseconds = 200;
  const session = await open();
  await session.feed(chunk(2));
  await expect(session.feed(chunk(3))).rejects.toMatchObject({ code: 'session_lagging' });
  await session.feed(chunk(1, true));
  await until(() => session.state === 'complete', 'complete');
  expect(session.framesGenerated).toBe(3 * 25);
});

it('chunks fed at once, in any order, are played once and in order', async () => {
  const session = await open();
  const outcomes = await Promise.all([
    session.feed(chunk(0.5, false, 1)),
    session.feed(chunk(0.5, true, 2)),
    session.feed(chunk(1, false, 0)),
    session.feed(chunk(1, false, 0)),
  ]);
  expect(outcomes.filter((outcome) => outcome === 'duplicate')).toHaveLength(1);
  await until(() => session.state === 'complete', 'complete');
  expect(session.framesGenerated).toBe(50);
});

it('a drain waits for a final chunk that is just being accepted', async () => {
  engine.renderMilliseconds = 10;
  const session = await open();
  const fed = session.feed(chunk(3, true));
  const drained = registry.drain(30);
  await fed;
  await until(() => session.state === 'complete', 'complete');
  expect(session.framesGenerated).toBe(75);
  await drained;
});

it('a drain lets no session slip through that was being opened', async () => {
  engine.openMilliseconds = 200;
  const opening = open();
  const refused = expect(opening).rejects.toMatchObject({ code: 'draining' });
  await registry.drain(5);
  await refused;
  expect(engine.avatars.size).toBe(0);
  expect(await readdir(hlsDirectory)).toEqual([]);
});

it('a session whose caller has gone is not opened', async () => {
  engine.openMilliseconds = 100;
  const gone = new AbortController();
  const opening = registry.open(wanted(), gone.signal);
  gone.abort();
  await expect(opening).rejects.toThrow();
  expect(registry.size).toBe(0);
  expect(engine.avatars.size).toBe(0);
  expect(await readdir(hlsDirectory)).toEqual([]);
});

it('a talk that is over gives back its avatar and its place', async () => {
  const sessions = await Promise.all([open(), open(), open()]);
  await expect(open()).rejects.toMatchObject({ code: 'too_many_sessions' });
  await sessions[0]!.feed(chunk(1, true));
  await until(() => sessions[0]!.state === 'complete' && engine.avatars.size === 2, 'avatar closed');
  await open();
});

it('an avatar that fails ends its talk: players learn it, waiting chunks too, and everything is freed', async () => {
  const session = await open();
  await session.feed(chunk(3));
  await until(() => session.state === 'waiting_for_audio', 'rendered');
  const waiting = session.feed(chunk(1, false, 5));
  const refused = expect(waiting).rejects.toMatchObject({ code: 'session_closed' });
  engine.failure = new Error('out of ideas');
  // Refused where the failure comes while it is still being taken in.
  await session.feed(chunk(3)).catch((error) => expect(error).toMatchObject({ code: 'session_closed' }));
  await until(() => session.state === 'error', 'error');
  await refused;
  expect(session.error).toBe('Something went wrong inside the service.');
  await until(() => engine.avatars.size === 0, 'avatar closed');
  await until(() => session.stream.finished, 'playlist ended');
  expect(await session.stream.playlist()).toContain('#EXT-X-ENDLIST');
});

it('deleting frees the id for another session only when everything is gone', async () => {
  const session = await open('the-same-id');
  await session.feed(chunk(5));
  const deleted = registry.delete('the-same-id');
  await expect(open('the-same-id')).rejects.toMatchObject({ code: 'session_exists' });
  await deleted;
  expect(existsSync(join(hlsDirectory, 'the-same-id'))).toBe(false);
  const again = await open('the-same-id');
  await again.feed(chunk(1, true));
  await until(() => again.state === 'complete', 'complete');
  expect(await again.stream.playlist()).toContain('segment-00001.m4s?e=');
});

it('survives feeding, finishing and closing in any interleaving', async () => {
  engine.renderMilliseconds = 1;
  for (let round = 0; round < 12; round++) {
    const session = await open();
    const calls = [
      () => session.feed(chunk(1)),
      () => session.feed(chunk(1, true)),
      () => session.finish(),
      () => session.feed(chunk(2)),
      () => registry.delete(session.id),
    ];
    const order = [...calls.keys()].sort((a, b) => ((a * 7 + round * 3) % 5) - ((b * 7 + round * 3) % 5));
    const running = [];
    for (const i of order) {
      running.push(calls[i]!().catch((error) => error));
      await pause(round % 4);
    }
    const outcomes = await Promise.all(running);
    for (const outcome of outcomes) {
      if (outcome instanceof Error) expect(outcome).toMatchObject({ code: expect.stringMatching(/^session_/) });
    }
    expect(registry.size).toBe(0);
    await until(() => engine.avatars.size === 0, 'avatar closed');
  }
  expect(await readdir(hlsDirectory)).toEqual([]);
});
