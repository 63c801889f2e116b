import { mkdir, mkdtemp, rm, rmdir, stat } from 'node:fs/promises';
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

it('is rewritten soon where it could not be', async () => {
  const journal = await SessionJournal.create(directory, {} as SessionOpening);
  await journal.accept({ kind: 'sound', sampleRate: 48_000 }, new Uint8Array(33 * 1024 * 1024));
  await journal.accept({ kind: 'shown', frame: 25, sound: 1, seconds: 0 });
  // The name of the one that is to take its place is taken.
  await mkdir(join(directory, 'journal.part'));
  await expect(journal.compact(25)).rejects.toThrow();
  await rmdir(join(directory, 'journal.part'));
  const before = await inode();
  await journal.compact(25);
  expect(await inode()).toBe(before);
  await journal.accept({ kind: 'sound', sampleRate: 48_000 }, new Uint8Array(1024 * 1024));
  await journal.compact(25);
  expect(await inode()).not.toBe(before);
  await journal.close();
  expect((await stat(join(directory, 'journal'))).size).toBeLessThan(2 * 1024 * 1024);
});
