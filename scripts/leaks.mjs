// Many sessions one after another, and then: is the service what it was before? Linux only: it reads /proc.
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { commandLine, wholeOption } from './command-line.mjs';
import { holdings, NAMES, whatGrew } from './load/holdings.mjs';
import { HttpClient } from './load/http-client.mjs';
import { lifeOf, liveLife } from './load/lives.mjs';
import { readMaterial } from './load/material.mjs';
import { startService } from './service-process.mjs';

const root = resolve(import.meta.dirname, '..');
const WARM_UP_SESSIONS = 20;
/** After the last session: what is closed beside the answer is closed, and memory is given back. */
const SETTLE_SECONDS = 5;
const HELP = `npm run leaks [-- --sessions 200 --json FILE]

Sessions are opened, fed and deleted one after another: fed ones to their end, live ones, interrupted ones, some deleted in the
middle of their speech, some whose player or feeder has gone away. After a warm-up of ${WARM_UP_SESSIONS} the service's memory, open files, threads,
child processes and folders are counted; after all sessions they must be as many again. Exit code 1 otherwise.

  --sessions 200   20 to 100000, besides the warm-up
  --json FILE      write all numbers there as well`;

const { sessions, json } = commandLine('leaks', HELP, readOptions);
const [{ portraits, voices }, service] = [
  await readMaterial(root, 1),
  await startService({ root, environment: { MAX_SESSIONS: '4', DRAIN_SECONDS: '0' } }),
];
const client = new HttpClient(service.url, process.env.FACECAST_API_KEY || undefined);
let exitCode = 1;
try {
  const material = { png: portraits[0].png, voice: voices[0] };
  const live = async (count, from = 0) => {
    for (let i = from; i < from + count; i++) await liveLife(client, lifeOf(i), material);
    await sleep(SETTLE_SECONDS * 1000);
    return holdings(service);
  };
  const series = [await live(WARM_UP_SESSIONS)];
  print('after the warm-up', series[0]);
  // In fifths, so that what grows can be told from what was taken once.
  for (let fifth = 1; fifth <= 5; fifth++) {
    const from = Math.round(((fifth - 1) * sessions) / 5);
    const to = Math.round((fifth * sessions) / 5);
    series.push(await live(to - from, from));
    print(`after ${to} more`, series.at(-1));
  }
  const grew = whatGrew(series);
  for (const words of grew) console.log(`  ${words}`);
  if (grew.length === 0) console.log('  Nothing has been left behind.');
  if (json) await writeFile(json, `${JSON.stringify({ sessions, series, grew }, null, 2)}\n`);
  exitCode = grew.length === 0 ? 0 : 1;
} catch (error) {
  console.error(`leaks: ${(await service.ended()) ?? error.message}`);
} finally {
  client.close();
  await service.stop();
}
process.exit(exitCode);

function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      sessions: { type: 'string', default: '200' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  return { ...values, sessions: wholeOption('sessions', values.sessions, 20, 100_000) };
}

function print(when, held) {
  const cells = Object.entries(NAMES).map(([key, name]) => `${name} ${Math.round(held[key])}`);
  console.log(`  ${when.padEnd(20)} ${cells.join(', ')}`);
}
