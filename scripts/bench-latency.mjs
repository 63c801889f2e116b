// Measures how long a live session's frames, and speech, take to the screen.
import { writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { commandLine, wholeOption } from './command-line.mjs';
import { runLatency } from './live/latency-run.mjs';
import { missed, TARGETS, timesOf } from './live/latency-times.mjs';

const root = resolve(import.meta.dirname, '..');
const HELP = `npm run bench:latency [-- --seconds 60 --sessions 1 --json FILE --assert]

Low-Latency HLS from the drawn frame to the screen, on this machine. The real service draws a time code into each frame; a
playlist client notes when a part is listed, and Chromium with hls.js when the frame is on the screen. Everything is on one
machine, so no network is in it.

  --seconds 60    12 to 3600, after a warm-up of 6
  --sessions 1    1 to 16 at the same time, all followed; the first one is watched in Chromium
  --json FILE     write all numbers there as well
  --assert        exit code 1 when a target is missed`;

const NAMES = {
  drawnToHanded: 'frame drawn -> handed to the encoder',
  handedToListed: "part's last frame handed -> part listed",
  handedToSeen: 'frame handed -> on screen',
  drawnToSeen: 'frame drawn -> on screen (glass to glass)',
  fedToSeen: 'speech fed -> seen',
  fedToHeard: 'speech fed -> heard',
};

const options = commandLine('bench:latency', HELP, readOptions);
try {
  const result = timesOf(await runLatency({ root, sessions: options.sessions, seconds: options.seconds }));
  print(result);
  if (options.json) await writeFile(options.json, `${JSON.stringify({ ...result, targets: TARGETS }, null, 2)}\n`);
  process.exit(options.assert && missed(result).length > 0 ? 1 : 0);
} catch (error) {
  console.error(`bench:latency: ${error.message}`);
  process.exit(1);
}

function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      seconds: { type: 'string', default: '60' },
      sessions: { type: 'string', default: '1' },
      json: { type: 'string' },
      assert: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const seconds = wholeOption('seconds', values.seconds, 12, 3600);
  return { ...values, seconds, sessions: wholeOption('sessions', values.sessions, 1, 16) };
}

function print(result) {
  const load = loadavg()[0].toFixed(1);
  console.log(
    `\n${options.sessions} live session(s), ${options.seconds} s, ${cpus().length} x ${cpus()[0].model.trim()}, load ${load}, Node ${process.version}\n`,
  );
  console.log(
    `  ${'milliseconds'.padEnd(44)} ${['p50', 'p95', 'p99', 'of'].map((s) => s.padStart(7)).join('')}   target`,
  );
  for (const [key, name] of Object.entries(NAMES)) {
    const { p50, p95, p99, count = 0 } = result.times[key] ?? {};
    const numbers = [p50, p95, p99].map((value) => (value?.toFixed(0) ?? '-').padStart(7)).join('');
    const targets = Object.entries(TARGETS[key] ?? {}).map(([share, most]) => `${share} at most ${most}`);
    console.log(`  ${name.padEnd(44)} ${numbers}${String(count).padStart(7)}   ${targets.join(', ')}`);
  }
  const { frames, late, fed, waits, stalls, droppedByBrowser, playerLatency } = result;
  console.log(`
  ${late} of ${frames} frames were not drawn in time (the one before stayed), ${fed} utterances were fed.
  The player waited ${waits} times and told of ${stalls} stalls; the browser dropped ${droppedByBrowser} frames.
  hls.js believed to be ${playerLatency.toFixed(0)} ms behind the playlist's edge at the end.`);
  const bad = missed(result);
  console.log(bad.length === 0 ? '\nAll targets are met.' : `\nMissed: ${bad.join('; ')}.`);
}
