// Talks to a service as many clients at once would, and tells what they felt. CPU and memory on Linux only: it reads /proc.
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { commandLine } from './command-line.mjs';
import { chart } from './load/chart.mjs';
import { readMaterial } from './load/material.mjs';
import { HELP, readOptions } from './load/options.mjs';
import { printHead, printTable } from './load/report.mjs';
import { runLoad } from './load/run.mjs';
import { brokenPromises, summarise } from './load/summary.mjs';

const root = resolve(import.meta.dirname, '..');
const options = commandLine('load', HELP, readOptions);

try {
  const { counts, seconds, live, url, apiKey, json, chart: picture } = options;
  const material = await readMaterial(root, counts.at(-1));
  printHead(options, url);
  const summaries = [];
  for (const sessions of counts) {
    summaries.push(summarise(await runLoad({ root, url, apiKey, live, seconds, sessions, material })));
    if (json) await writeFile(json, `${JSON.stringify(summaries, null, 2)}\n`);
    if (picture) await writeFile(picture, chart(summaries));
  }
  printTable(summaries);
  process.exit(options.assert && summaries.some((run) => brokenPromises(run).length > 0) ? 1 : 0);
} catch (error) {
  console.error(`load: ${error.message}`);
  process.exit(1);
}
