import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { makeSocketFolder, sweepSocketFolders } from '../../src/hls/socket-folder.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sweep-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A folder with a file in it that was last changed so many seconds ago. */
function folder(name: string, ageSeconds = 120): string {
  const path = join(directory, name);
  mkdirSync(path);
  writeFileSync(join(path, 'frames'), '');
  const then = Date.now() / 1000 - ageSeconds;
  utimesSync(path, then, then);
  return path;
}

/** The id of a process that is gone. */
function goneId(): number {
  return spawnSync(process.execPath, ['-e', '']).pid;
}

it('removes what processes left that are gone, and nothing else', async () => {
  const gone = goneId();
  const left = folder(`facecast-${gone}-aB3xYz`);
  const ofEarlierSelf = folder(`facecast-${process.pid}-aB3xYz`);
  const kept = [
    folder(`facecast-${process.ppid}-aB3xYz`),
    folder(`facecast-${gone}-fresh1`, 5),
    folder(`facecast-${gone}-longer-name`),
    folder('facecast-test-aB3xYz'),
    folder(`other-${gone}-aB3xYz`),
  ];
  await expect(sweepSocketFolders(directory)).resolves.toBe(2);
  expect(existsSync(left)).toBe(false);
  expect(existsSync(ofEarlierSelf)).toBe(false);
  for (const path of kept) expect([path, existsSync(path)]).toEqual([path, true]);
});

it('makes folders that a later start knows', async () => {
  const path = await makeSocketFolder();
  try {
    expect(basename(path)).toMatch(new RegExp(`^facecast-${process.pid}-[A-Za-z0-9]{6}$`));
  } finally {
    rmSync(path, { recursive: true });
  }
});
