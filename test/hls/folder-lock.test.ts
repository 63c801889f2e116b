import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderLock } from '../../src/hls/folder-lock.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'facecast-lock-'));
});
afterEach(() => rm(folder, { recursive: true }));

const TAKEN = 'is used by another service that runs';

/** A program that listens on such a socket, says nothing, and can be killed. */
async function holder(name = '.facecast-service'): Promise<ChildProcess> {
  const script = `require('node:net').createServer((socket) => socket.end()).listen(process.argv[1], () => console.log('listening'))`;
  const child = spawn(process.execPath, ['-e', script, join(folder, name)]);
  await once(child.stdout!, 'data');
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'close');
}

/** Another that starts. Names are of hexadecimal digits: `g` comes behind all of them, and nothing before. */
async function starting(name: string): Promise<{ says: string; asked: number; server: Server }> {
  const other = { says: 'starting', asked: 0, server: createServer() };
  other.server.on('connection', (socket) => {
    other.asked++;
    socket.end(other.says);
  });
  other.server.listen(join(folder, name));
  await once(other.server, 'listening');
  return other;
}

it('a folder is one service only, until that one gives it back', async () => {
  const lock = (await FolderLock.take(folder))!;
  const [name] = await readdir(folder);
  await expect(FolderLock.take(folder)).rejects.toThrow(
    `HLS_DIR=${folder} is used by another service that runs: it listens on ${name} there. Stop that one, or give each service a folder of its own.`,
  );
  expect(await readdir(folder)).toEqual([name]);
  await lock.release();
  expect(await readdir(folder)).toEqual([]);
  await (await FolderLock.take(folder))!.release();
});

it('a service that was killed holds nothing, and leaves nothing for good', async () => {
  const children = [await holder(), await holder('.facecast-service-1'), await holder('.facecast-unborn-1')];
  await expect(FolderLock.take(folder)).rejects.toThrow(TAKEN);
  for (const child of children) await kill(child);
  expect(await readdir(folder)).toHaveLength(3);
  const lock = (await FolderLock.take(folder))!;
  expect(await readdir(folder)).toHaveLength(1);
  await lock.release();
});

it('of many that start at once where one has died, one has the folder', async () => {
  await kill(await holder());
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => FolderLock.take(folder)));
  const locks = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value!] : []));
  expect(locks).toHaveLength(1);
  expect(await readdir(folder)).toHaveLength(1);
  await expect(FolderLock.take(folder)).rejects.toThrow(TAKEN);
  await locks[0]!.release();
});

it('gives way to one that starts too and comes first', async () => {
  const other = await starting('.facecast-service-');
  await expect(FolderLock.take(folder)).rejects.toThrow(TAKEN);
  other.server.close();
});

it.each(['gives way', 'has the folder'])(
  'waits for one that starts too and comes behind, until that %s',
  async (end) => {
    const other = await starting('.facecast-service-g');
    const taking = FolderLock.take(folder);
    taking.catch(() => undefined);
    // Asked again and again, it is neither taken for dead nor passed by.
    while (other.asked < 5) await once(other.server, 'connection');
    if (end === 'has the folder') {
      other.says = 'holding';
      await expect(taking).rejects.toThrow(TAKEN);
      other.server.close();
    } else {
      other.server.close();
      await (await taking)!.release();
    }
  },
);

it('a file of that name is no service', async () => {
  await writeFile(join(folder, '.facecast-service'), '');
  await (await FolderLock.take(folder))!.release();
});

it('services of other users may ask it', async () => {
  const lock = (await FolderLock.take(folder))!;
  const [name] = await readdir(folder);
  expect((await stat(join(folder, name!))).mode & 0o777).toBe(0o666);
  await lock.release();
});

it('names the file of one that may not be asked, and says that it may be removed', async () => {
  const child = await holder();
  await chmod(join(folder, '.facecast-service'), 0);
  await chmod(folder, 0o777);
  // To root everything is allowed.
  const root = process.geteuid!() === 0;
  if (root) process.seteuid!(65534);
  try {
    await expect(FolderLock.take(folder)).rejects.toThrow(
      /\.facecast-service in it cannot be asked \(EACCES\).* Where no service runs, remove that file/,
    );
  } finally {
    if (root) process.seteuid!(0);
  }
  await kill(child);
  expect(await readdir(folder)).toEqual(['.facecast-service']);
});

const LONG = 'd'.repeat(100);

it.each([
  ['as it is', () => join(folder, LONG, LONG)],
  ['with a slash behind', () => `${join(folder, LONG)}/`],
  ['with a dot in it', () => `${folder}/./${LONG}`],
  ['from here', () => `./${LONG}`],
])('takes folders of any length: %s', async (_, path) => {
  const before = process.cwd();
  process.chdir(folder);
  try {
    await mkdir(path(), { recursive: true });
    const lock = (await FolderLock.take(path()))!;
    await expect(FolderLock.take(path())).rejects.toThrow(TAKEN);
    await lock.release();
    expect(await readdir(path())).toEqual([]);
  } finally {
    process.chdir(before);
  }
});
