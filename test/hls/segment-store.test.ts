import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import promises from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { now } from '../../src/clock.js';
import { processMark, runsStill } from '../../src/hls/process-mark.js';
import {
  leftSessions,
  prepareHlsDirectory,
  removeSession,
  SegmentStore,
  segmentName,
  segmentNumber,
  untilUnused,
} from '../../src/hls/segment-store.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'facecast-test-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('SegmentStore', () => {
  it('has a file when it is whole, under its own name only', async () => {
    const store = await SegmentStore.create(join(root, 'hls', 'a'));
    const write = store.write('segment-00001.m4s', [Uint8Array.of(1, 2), Uint8Array.of(3)]);
    expect(store.segmentPath(1)).toBeUndefined();
    expect(store.pendingBytes).toBe(3);
    await write;
    expect(store.segmentPath(1)).toBe(store.path('segment-00001.m4s'));
    expect(store.pendingBytes).toBe(0);
    expect([...readFileSync(store.path('segment-00001.m4s'))]).toEqual([1, 2, 3]);
    for (const other of [0, 2, -1, Number.NaN]) expect(store.segmentPath(other)).toBeUndefined();
    expect(readdirSync(join(root, 'hls', 'a')).sort()).toEqual(['.facecast-session', 'segment-00001.m4s']);
  });

  it('writes in order and tells when all is on disk', async () => {
    const store = await SegmentStore.create(join(root, 'a'));
    for (let n = 1; n <= 20; n++) store.write(segmentName(n), [new Uint8Array(1000)]);
    await store.flushed();
    expect(readdirSync(join(root, 'a'))).toHaveLength(21);
  });

  it('removes the oldest segments, and only those that are there', async () => {
    const store = await SegmentStore.create(join(root, 'a'));
    for (let n = 1; n <= 5; n++) store.write(segmentName(n), [Uint8Array.of(n)]);
    await store.removeSegments(3);
    expect([1, 2, 3, 4, 5].map((n) => store.segmentPath(n) !== undefined)).toEqual([false, false, false, true, true]);
    expect(readdirSync(join(root, 'a')).sort()).toEqual([
      '.facecast-session',
      'segment-00004.m4s',
      'segment-00005.m4s',
    ]);
    await store.removeSegments(9);
    store.write(segmentName(6), [Uint8Array.of(6)]);
    await store.flushed();
    expect(readdirSync(join(root, 'a')).sort()).toEqual(['.facecast-session', 'segment-00006.m4s']);
    expect([store.segmentPath(5), store.segmentPath(6)]).toEqual([undefined, store.path('segment-00006.m4s')]);
  });

  it('says so when the disk fails, and stays so', async () => {
    const store = await SegmentStore.create(join(root, 'a'));
    rmSync(join(root, 'a'), { recursive: true });
    await expect(store.write('x.m4s', [Uint8Array.of(1)])).rejects.toThrow('ENOENT');
    await expect(store.flushed()).rejects.toThrow('ENOENT');
    await store.remove();
  });

  it('empties a folder of its own, and refuses one that is not', async () => {
    const store = await SegmentStore.create(join(root, 'ours'));
    await store.write('old.m4s', [Uint8Array.of(1)]);
    const again = await SegmentStore.create(join(root, 'ours'));
    expect(existsSync(again.path('old.m4s'))).toBe(false);
    mkdirSync(join(root, 'theirs'));
    await expect(SegmentStore.create(join(root, 'theirs'))).rejects.toThrow('EEXIST');
  });

  it('removes its folder', async () => {
    const store = await SegmentStore.create(join(root, 'a'));
    store.write('x.m4s', [new Uint8Array(100_000)]);
    await store.remove();
    expect(readdirSync(root)).toEqual([]);
  });
});

describe('names of segments', () => {
  it.each([1, 99_999, 100_000, 10_000_000])('%i can be read back', (number) => {
    expect(segmentNumber(segmentName(number))).toBe(number);
  });

  it.each(['segment-1.m4s', 'segment-000001.m4s', 'segment-00NaN.m4s', 'segment-00001.m4s/..', 'part-00001.m4s', ''])(
    '%s is none',
    (name) => expect(segmentNumber(name)).toBeUndefined(),
  );
});

describe('leftSessions', () => {
  it('finds what sessions have left, and nothing else', async () => {
    const store = await SegmentStore.create(join(root, 'half-made'));
    await store.write('init.mp4', [Uint8Array.of(1)]);
    await SegmentStore.create(join(root, 'whole'));
    writeFileSync(join(root, 'whole', 'journal'), 'what was accepted');
    mkdirSync(join(root, 'photos'));
    writeFileSync(join(root, 'photos', 'init.mp4'), 'mine');
    writeFileSync(join(root, '.gitkeep'), '');
    const left = (await leftSessions(root)).sort((a, b) => a.id.localeCompare(b.id));
    expect(left).toMatchObject([
      { id: 'half-made', journaled: false, inUse: false },
      { id: 'whole', journaled: true, inUse: false },
    ]);
    for (const { idleMilliseconds } of left) expect(Math.abs(idleMilliseconds)).toBeLessThan(60_000);
    await removeSession(root, 'half-made');
    expect(readdirSync(root).sort()).toEqual(['.gitkeep', 'photos', 'whole']);
  });

  it('leaves out what somebody removes at the same time', async () => {
    for (const id of ['going', 'staying']) await SegmentStore.create(join(root, id));
    const { stat } = promises;
    const spy = jest.spyOn(promises, 'stat').mockImplementation(async (path) => {
      // Once its marker was seen.
      if (path === join(root, 'going')) rmSync(path, { recursive: true, force: true });
      return stat(path);
    });
    try {
      expect(await leftSessions(root)).toMatchObject([{ id: 'staying' }]);
      expect(existsSync(join(root, 'going'))).toBe(false);
    } finally {
      spy.mockRestore();
    }
  });

  it('tells what another service that still runs has made', async () => {
    const folder = join(root, 'running', 'talk');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, '.facecast-session'), '1');
    expect(await leftSessions(join(root, 'running'))).toMatchObject([{ id: 'talk', inUse: true }]);
    expect(await untilUnused(join(root, 'running'), 'talk', now() + 300)).toBe(false);
    await expect(SegmentStore.create(folder)).rejects.toThrow('Another service is at work in');
    writeFileSync(join(folder, '.facecast-session'), '4194303');
    expect(await untilUnused(join(root, 'running'), 'talk', 0)).toBe(true);
  });
});

describe('the process of a mark', () => {
  it('is this one, one that is gone, or one that still runs', async () => {
    expect(await processMark()).toMatch(/^\d+ [\w-]+:\d+$/);
    expect(await runsStill(await processMark())).toBe(false);
    expect(await runsStill('4194303')).toBe(false);
    expect(await runsStill('')).toBe(false);
    expect(await runsStill(String(process.ppid))).toBe(true);
  });

  it('does not run when it has ended, though its parent has not asked for it', async () => {
    // The shell becomes a program that asks for no child of its own.
    const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60']);
    const [pid] = await once(parent.stdout, 'data');
    try {
      while (await runsStill(String(pid))) await new Promise((resolve) => setTimeout(resolve, 20));
      expect(readFileSync(`/proc/${Number(pid)}/stat`, 'utf8')).toContain(' Z ');
    } finally {
      parent.kill('SIGKILL');
    }
  });

  it('is not another program that has its id since the machine was started again', async () => {
    // One that began with the machine; the parent of this one may have begun in the same hundredth of a second.
    const earlier = (await processMark()).replace(/^\d+ /, `${process.ppid} `).replace(/\d+$/, '0');
    expect(await runsStill(earlier)).toBe(false);
  });
});

describe('prepareHlsDirectory', () => {
  it('makes the folder with those above it', async () => {
    await prepareHlsDirectory(join(root, 'a-new', 'folder'));
    expect(readdirSync(join(root, 'a-new'))).toEqual(['folder']);
    await prepareHlsDirectory(join(root, 'a-new', 'folder'));
  });

  it.each(['/proc/nowhere', '/dev/null/talks'])('says that %s cannot be written', async (path) => {
    await expect(prepareHlsDirectory(path)).rejects.toThrow(`HLS_DIR=${path} cannot be written.`);
  });
});
