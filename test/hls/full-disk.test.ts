import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { AppError } from '../../src/errors.js';
import { HlsStream, type HlsStreamOptions } from '../../src/hls/hls-stream.js';
import { SegmentStore } from '../../src/hls/segment-store.js';
import { storageError } from '../../src/hls/storage-error.js';
import { itWithSmallDisk, mountDisk, type SmallDisk } from '../support/small-disk.js';
import { HEIGHT, testFrames, WIDTH } from './support/test-picture.js';

const logger = { info: () => {}, warn: () => {}, error: () => {} } as HlsStreamOptions['logger'];
let disk: SmallDisk | undefined;
afterEach(() => {
  disk?.remove();
  disk = undefined;
});

function streamOn(folder: string, more: Partial<HlsStreamOptions>): Promise<HlsStream> {
  const size = { width: WIDTH, height: HEIGHT, fps: 25, segmentFrames: 25, partFrames: 5 };
  return HlsStream.open({ directory: join(folder, 'talk'), ...size, logger, ...more });
}

async function speak(stream: HlsStream, frames: number): Promise<void> {
  stream.writeSound(new Float32Array((frames * 48_000) / 25));
  stream.writeFrames(testFrames(0, frames), frames);
  await stream.drained();
}

itWithSmallDisk('what waits for room is written as soon as there is some', async () => {
  disk = mountDisk(1);
  const store = await SegmentStore.create(join(disk.folder, 'talk'));
  disk.fill();
  let written = false;
  const writing = store.write('segment-00001.m4s', [new Uint8Array(100_000)]).then(() => {
    written = true;
  });
  const next = store.write('segment-00002.m4s', [new Uint8Array(10)]);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(written).toBe(false);
  expect(store.pendingBytes).toBe(100_010);
  disk.empty();
  await Promise.all([writing, next]);
  expect(store.pendingBytes).toBe(0);
  expect(readdirSync(join(disk.folder, 'talk')).sort()).toEqual([
    '.facecast-session',
    'segment-00001.m4s',
    'segment-00002.m4s',
  ]);
});

itWithSmallDisk('a stream on a disk that stays full ends, and says why', async () => {
  disk = mountDisk(1);
  const errors: AppError[] = [];
  const stream = await streamOn(disk.folder, { fullDiskMilliseconds: 100, onError: (error) => errors.push(error) });
  disk.fill();
  await speak(stream, 60).catch(() => undefined);
  await stream.finish().catch(() => undefined);
  expect(errors).toEqual([
    expect.objectContaining({ code: 'storage_full', message: expect.stringMatching(/disk .* was full for too long/) }),
  ]);
  await stream.close({ removeFiles: true });
  expect(readdirSync(disk.folder)).toEqual(['filler']);
});

itWithSmallDisk('on a disk that is full or read-only no stream begins, and nothing of it stays', async () => {
  disk = mountDisk(1);
  disk.fill();
  await expect(streamOn(disk.folder, {})).rejects.toMatchObject({ code: 'storage_full', retryAfterSeconds: 30 });
  disk.empty();
  disk.setReadOnly(true);
  await expect(streamOn(disk.folder, {})).rejects.toMatchObject({
    code: 'internal',
    message: 'The folder of the stream could not be made.',
  });
  disk.setReadOnly(false);
  expect(readdirSync(disk.folder)).toEqual([]);
});

it('a full disk is told from other faults', () => {
  const because = (code: string) => storageError(Object.assign(new Error('no'), { code }), 'It could not be stored.');
  expect(because('ENOSPC')).toMatchObject({ code: 'storage_full', status: 507 });
  expect(because('EDQUOT')).toMatchObject({ code: 'storage_full', status: 507 });
  expect(because('EIO')).toMatchObject({ code: 'internal', message: 'It could not be stored.' });
});
