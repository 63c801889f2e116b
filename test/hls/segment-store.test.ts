import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareHlsDirectory, SegmentStore, segmentName, sweepHlsDirectory } from '../../src/hls/segment-store.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'facecast-test-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('SegmentStore', () => {
  it('has a file when it is whole, under its own name only', async () => {
    const store = await SegmentStore.create(join(root, 'hls', 'a'));
    const write = store.write('segment-00001.m4s', [Uint8Array.of(1, 2), Uint8Array.of(3)]);
    expect(store.has('segment-00001.m4s')).toBe(false);
    expect(store.pendingBytes).toBe(3);
    await write;
    expect(store.has('segment-00001.m4s')).toBe(true);
    expect(store.pendingBytes).toBe(0);
    expect([...readFileSync(store.path('segment-00001.m4s'))]).toEqual([1, 2, 3]);
    expect(store.has('.facecast-session')).toBe(false);
    expect(store.has('../a/segment-00001.m4s')).toBe(false);
    expect(readdirSync(join(root, 'hls', 'a')).sort()).toEqual(['.facecast-session', 'segment-00001.m4s']);
  });

  it('writes in order and tells when all is on disk', async () => {
    const store = await SegmentStore.create(join(root, 'a'));
    for (let n = 1; n <= 20; n++) store.write(segmentName(n), [new Uint8Array(1000)]);
    await store.flushed();
    expect(readdirSync(join(root, 'a'))).toHaveLength(21);
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

describe('sweepHlsDirectory', () => {
  it('removes what talks have left, and nothing else', async () => {
    const store = await SegmentStore.create(join(root, 'talk'));
    await store.write('init.mp4', [Uint8Array.of(1)]);
    mkdirSync(join(root, 'photos'));
    writeFileSync(join(root, 'photos', 'init.mp4'), 'mine');
    writeFileSync(join(root, '.gitkeep'), '');
    expect(await sweepHlsDirectory(root)).toEqual(['talk']);
    expect(readdirSync(root).sort()).toEqual(['.gitkeep', 'photos']);
    expect(readFileSync(join(root, 'photos', 'init.mp4'), 'utf8')).toBe('mine');
  });

  it('leaves alone what another service that still runs has made', async () => {
    const folder = join(root, 'running', 'talk');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, '.facecast-session'), '1');
    expect(await sweepHlsDirectory(join(root, 'running'))).toEqual([]);
    expect(existsSync(folder)).toBe(true);
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
