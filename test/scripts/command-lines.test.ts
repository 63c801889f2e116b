import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { helpAskedFor } from '../../src/command-line.js';

const root = resolve(__dirname, '../..');
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
/** npm scripts that end in one of ours. `npm run x -- --help` gives the option to the last command. */
const ours = Object.entries(scripts).flatMap(([name, command]) => {
  const file = /node (scripts\/[\w-]+\.mjs)$/.exec(command)?.[1];
  return file ? [[name, file] as const] : [];
});

function run(file: string, argument: string) {
  return spawnSync(process.execPath, [file, argument], { cwd: root, encoding: 'utf8', timeout: 30_000 });
}

it('finds them', () => {
  expect(ours.map(([name]) => name)).toEqual(expect.arrayContaining(['setup', 'demo', 'load', 'bench:gpu']));
});

it.each(ours)('npm run %s explains itself and does nothing else', (name, file) => {
  const { status, stdout, stderr } = run(file, '--help');
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout.trimStart().startsWith(`npm run ${name}`)).toBe(true);
});

it.each(ours)('npm run %s says in whole sentences that an option is none', (_name, file) => {
  const { status, stdout, stderr } = run(file, '--none');
  expect([status === 1 || status === 2, stdout]).toEqual([true, '']);
  expect(stderr).toMatch(/--none'?\.(\s|$)/);
  expect(stderr).toContain('--help');
});

describe('the service', () => {
  it('runs without options', () => {
    expect(helpAskedFor([])).toBeUndefined();
  });

  it.each(['--help', '-h'])('explains itself for %s', (option) => {
    expect(helpAskedFor([option])).toMatch(/PORT=8080 npm start/);
  });

  it('does not pass over an option', () => {
    expect(() => helpAskedFor(['--port', '80'])).toThrow(
      'there is no option --port. Settings are environment variables: PORT=8080 npm start. See --help',
    );
  });
});
