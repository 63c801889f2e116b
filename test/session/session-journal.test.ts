import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SessionJournal, type SessionOpening } from '../../src/session/session-journal.js';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'facecast-journal-'));
});
afterEach(() => rm(directory, { recursive: true }));

const inode = async () => (await stat(join(directory, 'journal'))).ino;

it('is not rewritten again and again where much is still to be said', async () => {
  const journal = await SessionJournal.create(directory, {} as SessionOpening);
  await journal.accept({ kind: 'sound', sampleRate: 48_000 }, new Uint8Array(33 * 1024 * 1024));
  const before = await inode();
  await journal.compact(0);
  const once = await inode();
  expect(once).not.toBe(before);
  await journal.accept({ kind: 'shown', frame: 25, sound: 0, seconds: 1 });
  await journal.compact(25);
  expect(await inode()).toBe(once);
  await journal.close();
});
