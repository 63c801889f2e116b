import promises, {
  appendFile,
  type FileHandle,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { JOURNAL_NAME } from '../../src/hls/segment-store.js';
import { Journal } from '../../src/session/journal.js';
import { JournalReader } from '../../src/session/journal-reader.js';

const MEGABYTE = 1024 * 1024;

let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'facecast-journal-'));
  path = join(directory, JOURNAL_NAME);
});

afterEach(() => rm(directory, { recursive: true }));

async function written(count: number): Promise<void> {
  const journal = await Journal.create(directory, { opening: true });
  for (let i = 0; i < count; i++) await journal.append({ i }, Buffer.alloc(i * 1000, i));
  await journal.close();
}

async function readBack(): Promise<[words: object, length: number][]> {
  const resumed = await Journal.resume(directory);
  const read = [];
  for (const { words, bytes } of resumed?.reader.entries ?? []) {
    expect(await bytes.read()).toHaveLength(bytes.length);
    read.push([words, bytes.length] as [object, number]);
  }
  await resumed?.journal.close();
  await resumed?.reader.close();
  return read;
}

it('gives back what was appended, and goes on behind it', async () => {
  await written(2);
  const resumed = (await Journal.resume(directory))!;
  const { words, bytes } = resumed.reader.entries[2]!;
  expect(words).toEqual({ i: 1 });
  expect(await bytes.read()).toEqual(Buffer.alloc(1000, 1));
  await resumed.reader.close();
  await resumed.journal.append({ later: 'ü' });
  await resumed.journal.close();
  expect(await readBack()).toEqual([
    [{ opening: true }, 0],
    [{ i: 0 }, 0],
    [{ i: 1 }, 1000],
    [{ later: 'ü' }, 0],
  ]);
});

it('has every entry on the disk when it says so, also of many at once, in their order', async () => {
  const journal = await Journal.create(directory, {});
  let resolved = 0;
  const appends = Array.from({ length: 200 }, async (_, i) => {
    await journal.append({ i }, Buffer.alloc(100));
    resolved++;
    expect((await readFile(path)).length).toBeGreaterThanOrEqual(resolved * 100);
  });
  await Promise.all(appends);
  await journal.close();
  expect((await readBack()).slice(1)).toEqual(Array.from({ length: 200 }, (_, i) => [{ i }, 100]));
});

it('takes off what a crash cut short, wherever that was', async () => {
  await written(3);
  const whole = await readFile(path);
  const entries = await readBack();
  for (const length of [whole.length - 1, whole.length - 1999, whole.length - 2000, whole.length - 2010]) {
    await writeFile(path, whole.subarray(0, length));
    expect(await readBack()).toEqual(entries.slice(0, 3));
    // And the next entry follows what is whole.
    const { journal, reader } = (await Journal.resume(directory))!;
    await reader.close();
    await journal.append({ again: true });
    await journal.close();
    expect(await readBack()).toEqual([...entries.slice(0, 3), [{ again: true }, 0]]);
  }
});

it('does not believe bytes that are not what was written', async () => {
  await written(3);
  const bytes = await readFile(path);
  bytes[bytes.length - 500] ^= 1;
  await writeFile(path, bytes);
  expect(await readBack()).toHaveLength(3);
  await appendFile(path, Buffer.alloc(64, 255));
  expect(await readBack()).toHaveLength(3);
});

it('is left as it is where it was damaged, and not cut short', async () => {
  const journal = await Journal.create(directory, { opening: true });
  for (const bytes of [0, 2 * MEGABYTE, 10]) await journal.append({ bytes }, Buffer.alloc(bytes, '{"'));
  await journal.close();
  const whole = await readFile(path);
  const [, second, third] = ['{"bytes":0}', '{"bytes":2097152}', '{"bytes":10}'].map(
    (words) => whole.indexOf(words) - 12,
  );
  for (const at of [second!, second! + 4, second! + 20, third! - 1]) {
    const bytes = Buffer.from(whole);
    bytes[at] ^= 1;
    await writeFile(path, bytes);
    const resumed = (await Journal.resume(directory))!;
    expect(resumed.reader.entries.map(({ words }) => words)).toEqual([{ opening: true }, { bytes: 0 }]);
    expect(resumed.damagedBytes).toBe(whole.length - second!);
    await expect(resumed.journal.append({ more: true })).rejects.toThrow('damaged');
    await expect(resumed.journal.rewrite((entries) => entries)).rejects.toThrow('damaged');
    await resumed.journal.close();
    await resumed.reader.close();
    expect((await readFile(path)).equals(bytes)).toBe(true);
  }
});

it('is not rewritten without what was damaged meanwhile', async () => {
  const journal = await Journal.create(directory, { opening: true });
  for (let i = 0; i < 3; i++) await journal.append({ i }, Buffer.alloc(100));
  const bytes = await readFile(path);
  bytes[bytes.indexOf('{"i":1}') + 20] ^= 1;
  await writeFile(path, bytes);
  await expect(journal.rewrite((entries) => entries)).rejects.toThrow('damaged');
  await journal.close();
  expect((await readFile(path)).equals(bytes)).toBe(true);
});

it('does not take zeros for entries, which a power failure may leave behind', async () => {
  await written(2);
  await appendFile(path, Buffer.alloc(4096));
  expect(await readBack()).toHaveLength(3);
  expect((await readFile(path)).length).toBeLessThan(4096);
});

it('is on the disk with its name, and not only with its bytes, when it says so', async () => {
  const done: string[] = [];
  const handle = await open(directory);
  const methods = Object.getPrototypeOf(handle);
  await handle.close();
  const spies: { mockRestore(): void }[] = (['sync', 'datasync'] as const).map((name) => {
    const real = methods[name];
    return jest.spyOn(methods, name).mockImplementation(async function (this: FileHandle) {
      const file = await readlink(`/proc/self/fd/${this.fd}`);
      await real.call(this);
      done.push(`${name} ${relative(directory, file)}`);
    });
  });
  const { rename } = promises;
  spies.push(
    jest.spyOn(promises, 'rename').mockImplementation(async (from, to) => {
      await rename(from, to);
      done.push('rename');
    }),
  );
  try {
    const journal = await Journal.create(directory, {});
    expect(done.splice(0)).toEqual(['datasync journal.part', 'rename', 'sync ']);
    await journal.append({ i: 0 });
    expect(done.splice(0)).toEqual(['datasync journal']);
    await journal.rewrite((entries) => entries);
    expect(done.splice(0)).toEqual(['datasync journal.part', 'rename', 'sync ']);
    await journal.close();
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
});

it('is not there before its opening is whole', async () => {
  expect(await Journal.resume(directory)).toBeUndefined();
  await written(0);
  await truncate(path, 5);
  expect(await Journal.resume(directory)).toBeUndefined();
});

it('takes nothing any more when it is closed', async () => {
  const journal = await Journal.create(directory, {});
  await journal.append({ i: 0 }, Buffer.alloc(1000));
  await journal.close();
  await expect(journal.append({ i: 1 })).rejects.toThrow();
  expect(await readBack()).toHaveLength(2);
});

it('can be rewritten while others append, and is the old one or the new one', async () => {
  const journal = await Journal.create(directory, { opening: true });
  const before = Array.from({ length: 20 }, (_, i) => journal.append({ i }, Buffer.alloc(1000)));
  const rewriting = journal.rewrite((entries) => entries.filter(({ words }) => !(Number(words.i) < 18)));
  const after = Array.from({ length: 20 }, (_, i) => journal.append({ i: 100 + i }));
  await Promise.all([...before, rewriting, ...after]);
  expect(journal.length).toBe((await readFile(path)).length);
  await journal.close();
  const kept = (await readBack()).map(([words]) => words);
  expect(kept).toEqual([{ opening: true }, { i: 18 }, { i: 19 }, ...after.map((_, i) => ({ i: 100 + i }))]);

  const { journal: again, reader } = (await Journal.resume(directory))!;
  await reader.close();
  const broken = again.rewrite(() => {
    throw new Error('out of ideas');
  });
  await expect(broken).rejects.toThrow('out of ideas');
  await again.append({ last: true });
  await again.close();
  expect(await readBack()).toHaveLength(kept.length + 1);
});

it('leaves nothing half written behind where it cannot be rewritten, or was killed meanwhile', async () => {
  const journal = await Journal.create(directory, { opening: true });
  const unreadable = {
    ...{ length: 2 * MEGABYTE, read: async () => Buffer.alloc(0) },
    pieces: async function* () {
      yield Buffer.alloc(MEGABYTE);
      throw new Error('no space left');
    },
  };
  const broken = journal.rewrite((entries) => [...entries, { words: { long: true }, bytes: unreadable }]);
  await expect(broken).rejects.toThrow('no space left');
  expect(await readdir(directory)).toEqual([JOURNAL_NAME]);
  await journal.append({ i: 0 });
  await journal.close();
  await writeFile(`${path}.part`, 'half of it');
  expect(await readBack()).toHaveLength(2);
  expect(await readdir(directory)).toEqual([JOURNAL_NAME]);
});

it('keeps a piece in memory, not a journal: whatever its length', async () => {
  const journal = await Journal.create(directory, { opening: true });
  await journal.append({ long: true }, Buffer.alloc(300 * MEGABYTE, 7));
  await journal.append({ last: true }, Buffer.from('end'));
  await journal.close();
  const before = process.memoryUsage().arrayBuffers;
  const { journal: again, reader } = (await Journal.resume(directory))!;
  await again.rewrite((entries) => [entries[0]!, entries[1]!, entries[2]!, entries[2]!]);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(30 * MEGABYTE);
  // The entries of before can be read, though another file has the name now.
  expect((await reader.entries[2]!.bytes.read()).toString()).toBe('end');
  await again.close();
  await reader.close();
  const rewritten = (await JournalReader.open(path))!;
  expect(rewritten.entries.map(({ words, bytes }) => [words, bytes.length])).toEqual([
    [{ opening: true }, 0],
    [{ long: true }, 300 * MEGABYTE],
    [{ last: true }, 3],
    [{ last: true }, 3],
  ]);
  await rewritten.close();
});
