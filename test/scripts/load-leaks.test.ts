import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

// The scripts are JavaScript; these parts of them need no service.
const { holdings, whatGrew } = require('../../scripts/load/holdings.mjs');
const { lifeOf } = require('../../scripts/load/lives.mjs');

describe('what is left behind', () => {
  const clean = { megabytes: 300, files: 30, threads: 14, children: 0, sessionFolders: 0, socketFolders: 0 };
  /** Holdings after the warm-up and after each fifth, as `change` makes them. */
  const series = (change: (fifth: number) => object) =>
    Array.from({ length: 6 }, (_, fifth) => ({ ...clean, ...change(fifth) }));

  it('is nothing where all is as it was', () => {
    expect(whatGrew(series(() => ({})))).toEqual([]);
    expect(whatGrew(series((fifth) => ({ megabytes: 300 - fifth, files: 30 + (fifth % 2) })))).toEqual([]);
  });

  it.each([
    ['files', { files: 50 }, 'open files: 30 before, 50 after.'],
    ['threads', { threads: 15 }, 'threads: 14 before, 15 after.'],
    ['processes', { children: 1 }, 'child processes: 0 before, 1 after.'],
    ['folders', { sessionFolders: 1, socketFolders: 2 }, 'session folders: 0 before, 1 after.'],
  ])('is told of %s', (_, more, words) => {
    expect(whatGrew(series((fifth) => (fifth === 5 ? more : {})))).toContain(words);
  });

  it('is memory that goes on growing, not what was taken once', () => {
    expect(whatGrew(series((fifth) => ({ megabytes: 300 + 20 * fifth })))).toEqual(['MB: 300 before, 400 after.']);
    expect(whatGrew(series((fifth) => ({ megabytes: fifth < 2 ? 300 : 400 })))).toEqual([]);
  });

  it('is counted of a process', async () => {
    const hlsDirectory = mkdtempSync(join(tmpdir(), 'holdings-'));
    // A shell that waits for its child, with a file open.
    const shell = spawn('sh', ['-c', 'exec 7< /dev/null; sleep 30; true'], { stdio: 'ignore', detached: true });
    try {
      for (let tries = 0; tries < 100 && (await holdings({ pid: shell.pid, hlsDirectory })).children === 0; tries++) {
        await new Promise((wait) => setTimeout(wait, 50));
      }
      mkdirSync(join(hlsDirectory, 'a'));
      const held = await holdings({ pid: shell.pid, hlsDirectory });
      expect(held).toMatchObject({ threads: 1, children: 1, sessionFolders: 1, socketFolders: 0 });
      expect(held.files).toBeGreaterThanOrEqual(4);
      expect(held.megabytes).toBeGreaterThan(0);
    } finally {
      process.kill(-shell.pid!, 'SIGKILL');
      rmSync(hlsDirectory, { recursive: true });
    }
  });
});

it('sessions live every kind of life in turn', () => {
  const lives = Array.from({ length: 8 }, (_, i) => lifeOf(i));
  expect(new Set(lives.map(({ end }) => end))).toEqual(
    new Set(['complete', 'interrupted', 'deleted', 'deserted', 'idle']),
  );
  expect(new Set(lives.map(({ live, end }) => `${live} ${end}`)).size).toBe(8);
  expect(lives.every(({ live, end }) => live || (end !== 'interrupted' && end !== 'idle'))).toBe(true);
});

it('too few sessions are refused with what is allowed', () => {
  const script = resolve(__dirname, '../../scripts/leaks.mjs');
  const wrong = spawnSync(process.execPath, [script, '--sessions', '5'], { encoding: 'utf8' });
  expect(wrong).toMatchObject({ status: 2, stderr: expect.stringContaining('from 20 to 100000') });
});
