import {
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Avatar, AvatarEngine, Motion, MotionWindow } from '../../src/avatar/engine.js';
import { AppError } from '../../src/errors.js';
import { createLogger } from '../../src/log.js';
import { Instruments } from '../../src/metrics/instruments.js';
import { JournalReader } from '../../src/session/journal-reader.js';
import type { Session } from '../../src/session/session.js';
import type { SessionEvent, SessionEvents } from '../../src/session/session-events.js';
import { SessionJournal } from '../../src/session/session-journal.js';
import { type RegistryOptions, SessionRegistry } from '../../src/session/session-registry.js';
import { wav } from '../support/media.js';
import { samplePortrait } from '../support/service.js';

// A registry that is drained, and another one that finds its sessions.

const SIZE = 64;
const description = {
  ...{ pack: 'grey', device: 'cpu' as const, deviceReason: 'test', fps: 25, width: SIZE, height: SIZE },
  ...{ contextFrames: 0, batchFrames: 5 },
};

const avatar: Avatar = {
  warnings: [],
  generateMotion: async ({ startFrame, frames, overlapFrames }: MotionWindow) => {
    const final = frames - overlapFrames;
    return { startFrame, frames: final, tokens: new Float32Array(final) };
  },
  render: async ({ frames }: Motion) => new Uint8Array((frames * SIZE * SIZE * 3) / 2).fill(128),
  close: async () => {},
};
const engine: AvatarEngine = {
  ...{ description, ready: true },
  open: async () => avatar,
  measureCost: async () => 0.1,
  close: async () => {},
};

let hlsDirectory: string;
let registry: SessionRegistry;

/** Lines of the log since the last `begin`. */
let log: { msg: string; session?: string; level: number }[];

const begin = (more: Partial<RegistryOptions> = {}) => {
  log = [];
  const logger = createLogger('info', { write: (line) => void log.push(JSON.parse(line)) });
  return new SessionRegistry({
    ...{ engine, hlsDirectory, maxSessions: 3, maxQueuedSeconds: 3, idleMinutes: 50, partMilliseconds: 200 },
    ...{ logger, ...more },
  });
};

/** The service is stopped, and started anew. */
const restart = async (more?: Partial<RegistryOptions>) => {
  await registry.drain(10);
  registry = begin(more);
  await registry.restore();
};

beforeEach(async () => {
  hlsDirectory = await mkdtemp(join(tmpdir(), 'facecast-reopened-'));
  registry = begin();
});

afterEach(async () => {
  await registry.drain(0);
  await rm(hlsDirectory, { recursive: true, force: true });
});

/** Leaves a session's folder as a killed service does: a drain would end the talk. */
const crash = async (id: string) => {
  const [folder, copy] = [join(hlsDirectory, id), join(hlsDirectory, 'copy')];
  await mkdir(copy);
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.part')) await copyFile(join(folder, name), join(copy, name));
  }
  await registry.delete(id);
  await rename(copy, folder);
};

const open = async (id: string, live?: { record: boolean }) => {
  const options = { crop: true, seed: 1, nfe: 5, cfgScale: 1 };
  const image = await readFile(samplePortrait);
  const wanted = { id, image, avatar: options, live, chunkDuration: 0.4, audioSampleRate: 16000 };
  return (await registry.open({ ...wanted, pictureSize: undefined })).session;
};

/** What is in a session's journal, in words. */
const journaled = async (id: string) => {
  const reader = (await JournalReader.open(join(hlsDirectory, id, 'journal')))!;
  await reader.close();
  return reader.entries.map(({ words }) => words);
};

/** What a listener hears who comes back after an event. */
const told = (events: SessionEvents, afterId: number) => {
  const heard: Pick<SessionEvent, 'id' | 'type'>[] = [];
  events.subscribe(({ id, type }) => heard.push({ id, type }), afterId)();
  return heard;
};

const chunk = (index: number, final: boolean) => ({
  audio: { bytes: wav(Buffer.alloc(16000), 16000), contentType: 'audio/wav', fileName: 'chunk.wav' },
  ...{ index, final },
});

it('a complete talk that came back knows the chunks it had, and takes no others', async () => {
  const session = await open('talk');
  await session.feed(chunk(0, false));
  await session.feed(chunk(1, true));
  await session.finish();
  const { lastId } = session.events;
  await restart();
  const again = registry.get('talk');
  expect(again.state).toBe('complete');
  expect(await again.feed(chunk(1, true))).toBe('duplicate');
  await expect(again.feed({ audio: undefined, index: undefined, final: true })).rejects.toMatchObject({
    code: 'session_closed',
  });
  // The last event is there for those who missed it, under the id that it had; nothing else is told or logged again.
  expect(told(again.events, 0)).toEqual([{ id: lastId, type: 'closed' }]);
  expect(log.map(({ msg }) => msg)).toEqual(['brought back the sessions of an earlier service']);
  expect((await again.stream.playlist()).match(/#EXTINF/g)).toHaveLength(1);
});

it('a complete talk keeps its stream, and neither its speech nor its portrait', async () => {
  const session = await open('talk');
  for (let i = 0; i < 4; i++) await session.feed(chunk(i, i === 3));
  await session.finish();
  const folder = join(hlsDirectory, 'talk');
  while ((await readdir(folder)).includes('portrait')) await sleep(10);
  expect((await journaled('talk')).map(({ kind }) => kind)).toEqual([undefined, 'compacted', 'complete']);
  expect((await stat(join(folder, 'journal'))).size).toBeLessThan(1000);
  for (let life = 0; life < 2; life++) {
    await restart();
    expect(registry.get('talk').state).toBe('complete');
    expect(await registry.get('talk').feed(chunk(3, true))).toBe('duplicate');
    expect(registry.get('talk').framesGenerated).toBe(50);
  }
});

it('speech of a complete talk is forgotten at the next start, where the service was killed before', async () => {
  const session = await open('talk');
  await session.feed(chunk(0, true));
  const folder = join(hlsDirectory, 'talk');
  const [journal, portrait] = [await readFile(join(folder, 'journal')), await readFile(join(folder, 'portrait'))];
  await session.finish();
  await registry.drain(10);
  await writeFile(join(folder, 'journal'), journal);
  await writeFile(join(folder, 'portrait'), portrait);
  await restart();
  expect(registry.get('talk').state).toBe('complete');
  expect((await journaled('talk')).map(({ kind }) => kind)).toEqual([undefined, 'compacted', 'complete']);
  expect(await readdir(folder)).not.toContain('portrait');
});

it('a failed session comes back failed, with its reason and what can be seen of it, and is not counted again', async () => {
  const session = await open('broken');
  for (let i = 0; i < 4; i++) await session.feed(chunk(i, false));
  while (session.framesGenerated < 40) await sleep(10);
  session.fail(new AppError('internal', 'The roof fell in.'));
  const { lastId } = session.events;
  const instruments = new Instruments();
  for (let life = 0; life < 2; life++) {
    await restart({ instruments });
    const again = registry.get('broken');
    expect({ state: again.state, error: again.error }).toEqual({ state: 'error', error: 'The roof fell in.' });
    expect(told(again.events, 0)).toEqual([{ id: lastId, type: 'error' }]);
    expect(await again.stream.playlist()).toContain('#EXT-X-ENDLIST');
    await expect(again.feed(chunk(4, false))).rejects.toMatchObject({ code: 'session_closed' });
    expect(await instruments.registry.getSingleMetricAsString('facecast_sessions_failed_total')).not.toMatch(/ 1$/m);
    expect(registry.busy).toBe(0);
  }
});

describe('what cannot go on comes back as failed and says why', () => {
  beforeEach(async () => {
    const session = await open('talk');
    await session.feed(chunk(0, false));
    await session.feed(chunk(1, false));
    while (session.framesGenerated < 15) await sleep(10);
    await crash('talk');
  });

  const failure = () => {
    expect(log.filter(({ level, session }) => level >= 50 && session === 'talk')).not.toEqual([]);
    const { state, error } = registry.get('talk');
    expect(state).toBe('error');
    return error;
  };

  it('because another model is at work; with the right one it goes on', async () => {
    const blue = { ...engine, description: { ...description, pack: 'blue' } };
    await restart({ engine: blue });
    expect(failure()).toBe('The session was spoken by the model pack grey, and blue is at work now.');
    await restart();
    const again = registry.get('talk');
    await again.feed(chunk(2, true));
    while (again.state !== 'complete') await sleep(10);
    expect(again.framesGenerated).toBe(38);
  });

  it('because its journal is broken', async () => {
    await truncate(join(hlsDirectory, 'talk', 'journal'), 20);
    await restart();
    expect(failure()).toBe('What the session was opened with can no longer be read.');
    await registry.delete('talk');
    expect(await readdir(hlsDirectory)).toEqual([]);
  });

  it('because its journal was damaged, with something behind', async () => {
    const path = join(hlsDirectory, 'talk', 'journal');
    const bytes = await readFile(path);
    bytes[bytes.indexOf('"index":0') + 200] ^= 1;
    await writeFile(path, bytes);
    for (let life = 0; life < 2; life++) {
      await restart();
      expect(failure()).toMatch(
        /^The journal is damaged: \d+ bytes of what the session accepted can no longer be read/,
      );
      expect((await readFile(path)).equals(bytes)).toBe(true);
    }
  });

  it('because its portrait is gone, or broken', async () => {
    await rm(join(hlsDirectory, 'talk', 'portrait'));
    await restart();
    while (registry.get('talk').state !== 'error') await sleep(10);
    expect(failure()).toBe('The portrait of the session can no longer be read.');
  });

  it('because its stream cannot be read', async () => {
    const folder = join(hlsDirectory, 'talk');
    for (const name of await readdir(folder)) if (/^(init|stream)/.test(name)) await rm(join(folder, name));
    await writeFile(join(folder, 'segment-00002.m4s'), 'not a segment');
    await writeFile(join(folder, 'segment-00003.m4s'), 'nor this one');
    await rm(join(folder, 'segment-00001.m4s'), { force: true });
    await restart();
    expect(failure()).toBe('The stream could not be gone on with.');
  });
});

it('sessions come back however many they are; new ones are refused while the places are taken', async () => {
  for (const id of ['a', 'b', 'c']) await open(id, { record: false });
  await restart({ maxSessions: undefined });
  await expect(open('d')).rejects.toMatchObject({ code: 'not_ready', retryAfterSeconds: 2 });
  registry.admitUpTo(2);
  expect(registry.size).toBe(3);
  expect(registry.busy).toBe(3);
  await expect(open('d')).rejects.toMatchObject({ code: 'too_many_sessions' });
  expect(log.at(-1)).toMatchObject({ level: 40, sessions: 3, maxSessions: 2 });
  await registry.delete('a');
  await expect(open('d')).rejects.toMatchObject({ code: 'too_many_sessions' });
  await registry.delete('b');
  await open('d');
});

it('a live talk that is stopped says what it has accepted first, where there is time for that', async () => {
  const pcm = { samples: new Float32Array(16_000).fill(0.1), sampleRate: 16_000 };
  const session = await open('live', { record: true });
  await session.speak(pcm);
  await registry.drain(20);
  expect(session.bufferedSamples).toBe(0);
  const shown = session.framesGenerated;
  registry = begin();
  await registry.restore();
  // It goes on after the last frame, and says nothing again.
  const again = registry.get('live');
  expect(again.stream.firstFrame).toBeGreaterThan(20);
  expect(again.stream.firstFrame).toBeLessThanOrEqual(shown);
  // Behind whatever is taken in again.
  await again.endUtterance();
  expect(again.bufferedSamples).toBe(0);
});

it('and says the rest when it is there again, where there is none', async () => {
  const pcm = { samples: new Float32Array(3 * 16_000).fill(0.1), sampleRate: 16_000 };
  await (await open('live', { record: true })).speak(pcm);
  await registry.drain(0);
  registry = begin();
  await registry.restore();
  const again = registry.get('live');
  while (again.queuedSeconds === 0) await sleep(10);
  expect(again.queuedSeconds).toBeGreaterThan(2);
  expect(again.queuedSeconds).toBeLessThanOrEqual(3);
});

it('what was heard of one utterance is not said again, however often the service dies in it', async () => {
  const shown = async () => (await journaled('live')).filter(({ kind }) => kind === 'shown');
  let session = await open('live', { record: true });
  await session.speak({ samples: new Float32Array(20 * 16_000).fill(0.1), sampleRate: 16_000 });
  await session.endUtterance();
  const left: number[] = [];
  for (let life = 1; life <= 2; life++) {
    const before = await shown();
    while ((await shown()).length < before.length + 2) await sleep(20);
    const notes = await shown();
    // What was noted behind the stream's end counts no more.
    const known = before.findLast(({ frame }) => Number(frame) <= session.stream.firstFrame);
    // A life that counted from where it began would be behind the one before.
    for (const { seconds } of notes.slice(before.length)) expect(seconds).toBeGreaterThan(Number(known?.seconds ?? 0));
    while (session.stream.framesStored < Number(notes.at(-1)!.frame)) await sleep(20);
    await crash('live');
    await restart();
    session = registry.get('live');
    while (session.queuedSeconds === 0) await sleep(5);
    left.push(session.queuedSeconds);
  }
  expect(left[1]).toBeLessThan(left[0]!);
}, 30_000);

it('a session that is on its way back is neither lost nor free', async () => {
  await open('talk', { record: false });
  await registry.drain(10);
  registry = begin();
  const restoring = registry.restore();
  for (let look = 0; look < 2; look++) {
    expect(() => registry.get('talk')).toThrow(expect.objectContaining({ code: 'not_ready', retryAfterSeconds: 1 }));
    await expect(open('talk')).rejects.toMatchObject({ code: 'session_exists' });
    await new Promise(setImmediate);
  }
  await restoring;
  expect(registry.get('talk').live).toBe(true);
  expect(() => registry.get('nobody')).toThrow(expect.objectContaining({ code: 'session_not_found' }));
});

it('a session that takes the id of an idle one during a start keeps its folder', async () => {
  for (const id of ['lobby', 'a', 'b']) await open(id, { record: false });
  await registry.drain(0);
  const hoursAgo = Date.now() / 1000 - 2 * 3600;
  for (const path of ['lobby/journal', 'lobby']) await utimes(join(hlsDirectory, path), hoursAgo, hoursAgo);
  registry = begin();
  const restoring = registry.restore();
  let session: Session | undefined;
  while (!session) {
    session = await open('lobby').catch((error) => {
      expect(error).toMatchObject({ code: 'session_exists' });
      return undefined;
    });
    await new Promise(setImmediate);
  }
  await restoring;
  expect(log.find(({ msg }) => msg.startsWith('removed'))).toMatchObject({ sessions: ['lobby'] });
  await session.feed(chunk(0, true));
  while (!session.over) await sleep(10);
  expect(session.state).toBe('complete');
  expect(await readdir(join(hlsDirectory, 'lobby'))).toContain('segment-00001.m4s');
});

it('what comes back can be seen and fed before the model is there, and goes on when it is', async () => {
  const session = await open('talk');
  for (let i = 0; i < 3; i++) await session.feed(chunk(i, false));
  while (session.framesGenerated < 30) await sleep(10);
  while (!(await readdir(join(hlsDirectory, 'talk'))).includes('segment-00001.m4s')) await sleep(10);
  await crash('talk');
  await registry.drain(0);

  let serve!: () => void;
  const serving = new Promise<void>((resolve) => {
    serve = resolve;
  });
  const late = { ...engine, open: () => serving.then(() => avatar) };
  registry = begin({ engine: late });
  await registry.restore(serving);
  const again = registry.get('talk');
  expect(await again.stream.playlist()).toContain('#EXTINF');
  const fed = again.feed(chunk(3, true));
  await sleep(100);
  expect(again.framesGenerated).toBe(25);
  serve();
  expect(await fed).toBe('accepted');
  while (again.state !== 'complete') await sleep(10);
  expect(again.framesGenerated).toBe(50);
});

it('an interruption that comes before the model drops what waits to be said again, and not the end', async () => {
  const session = await open('live', { record: false });
  await session.speak({ samples: new Float32Array(2 * 16_000).fill(0.1), sampleRate: 16_000 });
  await session.feed(chunk(0, true));
  await crash('live');
  await registry.drain(0);
  let serve!: () => void;
  const serving = new Promise<void>((resolve) => {
    serve = resolve;
  });
  registry = begin({ engine: { ...engine, open: () => serving.then(() => avatar) } });
  await registry.restore(serving);
  const again = registry.get('live');
  const { droppedSeconds } = await again.interrupt();
  expect(droppedSeconds).toBeGreaterThan(1);
  expect(droppedSeconds).toBeLessThanOrEqual(2.5);
  expect((await again.interrupt()).droppedSeconds).toBe(0);
  const heard: string[] = [];
  again.events.subscribe(({ type }) => heard.push(type));
  serve();
  while (!again.over) await sleep(10);
  expect(again.state).toBe('complete');
  expect(heard).toEqual(['closed']);
});

it('a session at work elsewhere is left alone, and told of in the log', async () => {
  await open('talk', { record: false });
  await registry.drain(10);
  // The program that started this one runs for as long as this one does.
  const marker = join(hlsDirectory, 'talk', '.facecast-session');
  await writeFile(marker, String(process.ppid));
  registry = begin();
  await registry.restore();
  expect(() => registry.get('talk')).toThrow(expect.objectContaining({ code: 'session_not_found' }));
  expect(log.find(({ session }) => session === 'talk')).toMatchObject({
    msg: 'session could not be brought back; its folder stays as it is',
  });
  expect(await readFile(marker, 'utf8')).toBe(String(process.ppid));
});

it('a talk that was watched until the service died is not idle', async () => {
  await registry.drain(0);
  // Looks for idle sessions every two seconds.
  registry = begin({ idleMinutes: 8 / 60 });
  const session = await open('talk');
  await session.feed(chunk(0, true));
  await session.finish();
  const folder = join(hlsDirectory, 'talk');
  while ((await readdir(folder)).includes('portrait')) await sleep(10);
  const hourAgo = Date.now() / 1000 - 3600;
  for (const path of [folder, join(folder, 'journal')]) await utimes(path, hourAgo, hourAgo);
  const watched = Date.now();
  session.touch();
  while ((await stat(folder)).mtimeMs < watched - 1000) await sleep(50);
  await restart({ idleMinutes: 50 });
  expect(registry.get('talk').state).toBe('complete');
});

it('is closed at once while the model is still being loaded', async () => {
  await open('talk', { record: false });
  await registry.drain(10);
  const never = new Promise<never>(() => {});
  registry = begin({ engine: { ...engine, open: () => never } });
  await registry.restore(never);
  await registry.delete('talk');
  expect(await readdir(hlsDirectory)).toEqual([]);
});

it('a listener who comes back after a restart is told what he has missed, and nothing twice', async () => {
  const first = await open('live', { record: false });
  for (let i = 0; i < 3; i++) await first.interrupt();
  const known = first.events.lastId;
  await restart();
  const { events } = registry.get('live');
  for (let i = 0; i < 5; i++) await registry.get('live').interrupt();
  expect(told(events, known)).toHaveLength(5);
  expect(told(events, events.lastId)).toEqual([]);
  const [one, two] = told(events, known);
  expect(told(events, one!.id)[0]).toEqual(two);
});

it('what is accepted while an interruption is carried out is behind it in the journal', async () => {
  const session = await open('live', { record: false });
  const pcm = { samples: new Float32Array(4000).fill(0.1), sampleRate: 16000 };
  await session.speak(pcm);
  await Promise.all([session.interrupt(), session.speak(pcm)]);
  const kinds = (await journaled('live')).map(({ kind }) => kind).filter((kind) => kind !== 'shown');
  expect(kinds).toEqual([undefined, 'sound', 'interrupted', 'sound']);
});

it('the journal of a live talk is rewritten when words have made it long, and not only speech', async () => {
  await registry.drain(0);
  // No picture, so nothing is shown, and nothing noted of that.
  let draw!: () => void;
  const drawn = new Promise<void>((resolve) => {
    draw = resolve;
  });
  const render = (motion: Motion, dueAt: number) => drawn.then(() => avatar.render(motion, dueAt));
  registry = begin({ engine: { ...engine, open: async () => ({ ...avatar, render }) } });
  try {
    const session = await open('live', { record: false });
    const path = join(hlsDirectory, 'live', 'journal');
    const [sampleRate, limit] = [192_000, 32 * 1024 * 1024];
    const head = 12 + JSON.stringify({ kind: 'sound', sampleRate }).length;
    const samples = Math.floor((limit - (await stat(path)).size - head - 1) / 4);
    await session.speak({ samples: new Float32Array(samples), sampleRate });
    expect(limit - (await stat(path)).size).toBeLessThanOrEqual(5);
    await session.interrupt();
    while ((await stat(path)).size > 1000) await sleep(10);
    expect((await journaled('live')).map(({ kind }) => kind)).toEqual([undefined, 'compacted']);
  } finally {
    draw();
  }
}, 30_000);

it('what is on disk when the service stops is accepted, and what comes after is not', async () => {
  const session = await open('live', { record: false });
  const { accept } = SessionJournal.prototype;
  let closing: Promise<void> | undefined;
  const spy = jest.spyOn(SessionJournal.prototype, 'accept');
  spy.mockImplementationOnce(async function (this: SessionJournal, ...entry: Parameters<typeof accept>) {
    await accept.apply(this, entry);
    closing = registry.drain(0);
    while (!session.over) await sleep(1);
  });
  expect(await session.feed(chunk(0, false))).toBe('accepted');
  spy.mockRestore();
  await expect(session.feed(chunk(1, false))).rejects.toMatchObject({ code: 'draining' });
  await closing;
  registry = begin();
  await registry.restore();
  const again = registry.get('live');
  expect(await again.feed(chunk(0, false))).toBe('duplicate');
  expect(again.queuedSeconds).toBeGreaterThan(0);
  await registry.delete('live');
  await expect(again.feed(chunk(1, false))).rejects.toMatchObject({ code: 'session_not_found' });
});

it('a stop does not wait for longer than it may where a worker opens no avatar', async () => {
  await registry.drain(0);
  registry = begin({ engine: { ...engine, open: () => new Promise<never>(() => {}) } });
  const opening = open('talk');
  opening.catch(() => undefined);
  await new Promise(setImmediate);
  await registry.drain(0.1);
  expect(registry.size).toBe(0);
});
