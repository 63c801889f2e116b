import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderLock } from '../../src/hls/folder-lock.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'facecast-lock-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A program that listens on a socket where the lock is, and can be killed. */
async function holder(): Promise<ChildProcess> {
  const script = `require('node:net').createServer().listen(process.argv[1], () => console.log('listening'))`;
  const child = spawn(process.execPath, ['-e', script, join(folder, '.facecast-service')]);
  await once(child.stdout!, 'data');
  return child;
}

it('a folder is one service only, until that one gives it back', async () => {
  const lock = (await FolderLock.take(folder))!;
  await expect(FolderLock.take(folder)).rejects.toThrow(
    `HLS_DIR=${folder} is used by another service that runs. Stop that one, or give each service a folder of its own.`,
  );
  await lock.release();
  expect(await readdir(folder)).toEqual([]);
  await (await FolderLock.take(folder))!.release();
});

it('a service that was killed holds nothing', async () => {
  const child = await holder();
  await expect(FolderLock.take(folder)).rejects.toThrow('is used by another service');
  child.kill('SIGKILL');
  await once(child, 'close');
  expect(await readdir(folder)).toEqual(['.facecast-service']);
  await (await FolderLock.take(folder))!.release();
});

it('of many that start at once where one has died, one has the folder', async () => {
  const child = await holder();
  child.kill('SIGKILL');
  await once(child, 'close');
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => FolderLock.take(folder)));
  const locks = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value!] : []));
  expect(locks).toHaveLength(1);
  await expect(FolderLock.take(folder)).rejects.toThrow('is used by another service');
  await locks[0]!.release();
});

it('a file of that name is no service', async () => {
  await writeFile(join(folder, '.facecast-service'), '');
  await (await FolderLock.take(folder))!.release();
});

it('takes folders of any length', async () => {
  const deep = join(folder, 'd'.repeat(100), 'd'.repeat(100));
  await mkdir(deep, { recursive: true });
  const lock = (await FolderLock.take(deep))!;
  await expect(FolderLock.take(deep)).rejects.toThrow('is used by another service');
  await lock.release();
  expect(await readdir(deep)).toEqual([]);
});
