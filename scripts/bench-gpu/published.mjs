// The published PyTorch loop (models/imtalker/bench_published.py) as variants that take turns with the graphs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const root = resolve(import.meta.dirname, '../..');

/** Starts the Python program and waits until its networks are built. @throws Error with what Python said when it cannot. */
export async function startPublished({ repository, python, small }, device, progress) {
  progress(`building the published networks in ${python}`);
  const program = [
    join(root, 'models/imtalker/bench_published.py'),
    '--repository',
    repository,
    '--device',
    device === 'cpu' ? 'cpu' : 'cuda',
  ];
  const child = spawn(python, [...program, '--turns', ...(small ? ['--small'] : [])], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (piece) => {
    said = `${said}${piece}`.slice(-2000);
  });
  // An early end of Python shows as a missing answer, which says more than a broken pipe.
  child.stdin.on('error', () => undefined);
  const unstartable = once(child, 'error').then(([error]) => {
    throw new Error(`${python} cannot be started: ${error.message}`);
  });
  unstartable.catch(() => undefined);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await Promise.race([lines.next(), unstartable]);
    if (done) throw new Error(`the published networks do not run in ${python}:\n${said.trim()}`);
    return JSON.parse(value);
  };
  const { variants, failed: left, ...machine } = await answer();
  for (const [name, reason] of Object.entries(left)) progress(`the published loop does not run in ${name}: ${reason}`);
  return {
    machine,
    variants: variants.map((name) => ({
      kind: 'published',
      label: `published PyTorch loop, ${name}`,
      facts: { variant: name },
      measure: async (milliseconds) => {
        child.stdin.write(`${JSON.stringify({ variant: name, milliseconds })}\n`);
        const { times } = await answer();
        return times;
      },
      derive: (ms) => ({ framesPerSecond: 1000 / ms }),
    })),
    close: async () => {
      child.stdin.end();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}
