// A run's numbers as a line of a table.
import { cpus, loadavg } from 'node:os';
import { brokenPromises } from './summary.mjs';

const COLUMNS = [
  ['taken', ({ admitted, sessions }) => `${admitted}/${sessions}`],
  ['feed ms p50/p95/p99', ({ feedMilliseconds }) => three(feedMilliseconds)],
  ['lateness ms p50/p95/p99', ({ latenessMilliseconds }) => three(latenessMilliseconds)],
  ['stalls', ({ stalls, stalledSeconds }) => (stalls > 0 ? `${stalls} (${stalledSeconds.toFixed(1)} s)` : '0')],
  ['late frames', ({ lateFrames }) => lateFrames ?? '-'],
  ['real-time', ({ realTimeFactor }) => (realTimeFactor === undefined ? '-' : `${realTimeFactor.toFixed(1)}x`)],
  ['CPU service+FFmpeg', ({ cpu }) => (cpu ? `${cpu.service.toFixed(2)} + ${cpu.encoder.toFixed(2)}` : '-')],
  ['MB', ({ megabytes }) => (megabytes ? `${megabytes.service.toFixed(0)} + ${megabytes.encoder.toFixed(0)}` : '-')],
  [
    'refused',
    ({ refusals }) =>
      Object.entries(refusals)
        .map((pair) => pair.join(' '))
        .join(', ') || '-',
  ],
];

export function printHead({ live, seconds }, url) {
  const where = url ?? `${cpus().length} x ${cpus()[0].model.trim()}, load ${loadavg()[0].toFixed(1)}`;
  console.log(`\n${live ? 'live' : 'fed'} sessions for ${seconds} s; ${where}, Node ${process.version}\n`);
}

/** The table, and what is not as promised. CPU is in cores and memory in MB, each for one session. */
export function printTable(summaries) {
  const rows = [COLUMNS.map(([name]) => name), ...summaries.map((run) => COLUMNS.map(([, cell]) => String(cell(run))))];
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  const line = (row) => `  ${row.map((cell, i) => cell.padStart(widths[i])).join('   ')}`;
  console.log([line(rows[0]), ...rows.slice(1).map(line)].join('\n'));
  const { capacity } = summaries[0];
  const tester = summaries.map(({ testerCpu }) => testerCpu.toFixed(2)).join(', ');
  console.log(
    `\n  The service says that it takes ${capacity ?? '?'} sessions. The load tester itself took ${tester} of a core.`,
  );
  for (const run of summaries) {
    for (const words of brokenPromises(run)) console.log(`  With ${run.sessions}: ${words}.`);
  }
  if (summaries.every((run) => brokenPromises(run).length === 0)) {
    console.log(
      '  Each session had its own picture and sound, none stood still, and what was refused was refused cleanly.',
    );
  }
}

function three(times) {
  return times ? [times.p50, times.p95, times.p99].map((value) => value.toFixed(0)).join(' / ') : '-';
}
