import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Avatar, AvatarEngine, Motion, MotionWindow } from '../../src/avatar/engine.js';
import { createLogger } from '../../src/log.js';
import { JournalReader } from '../../src/session/journal-reader.js';
import { SessionRegistry } from '../../src/session/session-registry.js';
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

const begin = () =>
  new SessionRegistry({
    ...{ engine, hlsDirectory, maxSessions: 3, maxQueuedSeconds: 3, idleMinutes: 50, partMilliseconds: 200 },
    logger: createLogger('silent'),
  });

beforeEach(async () => {
  hlsDirectory = await mkdtemp(join(tmpdir(), 'facecast-reopened-'));
  registry = begin();
});

afterEach(async () => {
  await registry.drain(0);
  await rm(hlsDirectory, { recursive: true, force: true });
});

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

const chunk = (index: number, final: boolean) => ({
  audio: { bytes: wav(Buffer.alloc(16000), 16000), contentType: 'audio/wav', fileName: 'chunk.wav' },
  ...{ index, final },
});

it('a complete talk that came back knows the chunks it had, and takes no others', async () => {
  const session = await open('talk');
  await session.feed(chunk(0, false));
  await session.feed(chunk(1, true));
  await session.finish();
  await registry.drain(10);
  registry = begin();
  await registry.restore();
  const again = registry.get('talk');
  expect(again.state).toBe('complete');
  expect(await again.feed(chunk(1, true))).toBe('duplicate');
  await expect(again.feed({ audio: undefined, index: undefined, final: true })).rejects.toMatchObject({
    code: 'session_closed',
  });
  expect(again.events.lastId).toBe(1);
});

it('what is accepted while an interruption is carried out is behind it in the journal', async () => {
  const session = await open('live', { record: false });
  const pcm = { samples: new Float32Array(4000).fill(0.1), sampleRate: 16000 };
  await session.speak(pcm);
  await Promise.all([session.interrupt(), session.speak(pcm)]);
  const kinds = (await journaled('live')).map(({ kind }) => kind).filter((kind) => kind !== 'shown');
  expect(kinds).toEqual([undefined, 'sound', 'interrupted', 'sound']);
});
