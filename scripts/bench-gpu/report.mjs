// Prints the measured numbers as tables.

export function printReport(report) {
  const { machine, device, packs } = report;
  console.log(`\n${machine.gpus.join('; ') || machine.cpu}`);
  console.log(`${machine.cpu}, Node ${machine.node}, onnxruntime-node ${machine.onnxruntime}, device ${device}`);
  for (const [precision, { name, frame, identityTensors, identityType, identityBytes }] of Object.entries(packs)) {
    const bits = identityType === 'Uint16Array' ? 'fp16' : 'fp32';
    console.log(
      `${precision}: pack ${name}, frames ${frame}, ${identityTensors} identity tensors in ${bits}, ${bytes(identityBytes)} a session`,
    );
  }
  printRenderer(report);
  printSpeech(report);
  printMemory(report);
  printSessions(report);
}

function printRenderer({ renderer, published, publishedMachine }) {
  table(
    'Renderer: one run, and what crosses to and from the device for a frame',
    ['', 'batch', 'sessions', 'frames/s', 'ms', 'p95', 'first run', 'in', 'out', 'runs'],
    [
      ...renderer.map((row) => [
        row.precision,
        row.batch,
        row.sessions,
        row.framesPerSecond.toFixed(1),
        row.ms.toFixed(2),
        row.p95.toFixed(2),
        row.first.toFixed(0),
        bytes(row.bytesInPerFrame),
        bytes(row.bytesOutPerFrame),
        row.runs,
      ]),
      ...published.map((row) => [
        `published, ${row.variant}`,
        1,
        1,
        row.framesPerSecond.toFixed(1),
        row.ms.toFixed(2),
        row.p95.toFixed(2),
        row.first.toFixed(0),
        '',
        '',
        row.runs,
      ]),
    ],
  );
  if (publishedMachine) {
    const { device, torch, threads } = publishedMachine;
    console.log(`published: PyTorch ${torch} on ${device}${device === 'CPU' ? `, ${threads} threads` : ''}`);
  }
}

function printSpeech({ audioEncoder, motionGenerator }) {
  const row = (name) => (measured) => [
    `${name} ${measured.precision}`,
    measured.batch,
    measured.frames,
    measured.ms.toFixed(2),
    measured.p95.toFixed(2),
    measured.msPerSecond.toFixed(2),
    measured.msPerSecondFullWindows?.toFixed(2) ?? '',
    measured.runs,
  ];
  table(
    'Speech: ms per second of it, as the service hears it (windows of 1 s, every 0.8 s) and with windows that are all new',
    ['', 'windows', 'frames', 'ms', 'p95', 'ms/s', 'ms/s all new', 'runs'],
    [...audioEncoder.map(row('audio encoder')), ...motionGenerator.map(row('motion, nfe 10'))],
  );
}

function printMemory({ device, memory }) {
  const rows = Object.entries(memory).flatMap(([precision, { steps }]) =>
    steps.map(({ step, gpu, residentMegabytes }, i) => [
      i === 0 ? precision : '',
      gpu ? `${gpu.megabytes} MiB${gpu.of === 'gpu' ? ' (whole GPU)' : ''}` : '-',
      `${residentMegabytes.toFixed(0)} MiB`,
      step,
    ]),
  );
  table(`Memory of the graphs${device === 'cpu' ? ' (no GPU in use)' : ''}`, ['', 'GPU', 'process', 'when'], rows);
}

function printSessions({ sessions }) {
  for (const [precision, { memory, talks, held }] of Object.entries(sessions)) {
    table(
      `Sessions through the service's engine, ${precision}: speech to frames as fast as they come, no encoder behind it`,
      ['sessions', 'frames/s', 'slowest', 'fastest', '25 fps each'],
      talks.map((row) => [
        row.sessions,
        row.framesPerSecond.toFixed(1),
        row.slowest.toFixed(1),
        row.fastest.toFixed(1),
        row.slowest >= 25 ? 'yes' : 'no',
      ]),
    );
    console.log(
      held ? `Most sessions tried that all had 25 frames/s: ${held}` : 'No number of sessions had 25 frames/s each.',
    );
    table(
      `Memory of the engine, ${precision}`,
      ['GPU', 'process', 'when'],
      memory.map(({ step, gpu, residentMegabytes }) => [
        gpu ? `${gpu.megabytes} MiB${gpu.of === 'gpu' ? ' (whole GPU)' : ''}` : '-',
        `${residentMegabytes.toFixed(0)} MiB`,
        step,
      ]),
    );
  }
}

/** Columns as wide as their widest cell; the first and the last are text, the others numbers. */
function table(title, header, rows) {
  if (rows.length === 0) return;
  const cells = [header, ...rows.map((row) => row.map(String))];
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  console.log(`\n${title}`);
  for (const row of cells) {
    const line = row.map((cell, i) =>
      i === 0 || header[i] === 'when' ? cell.padEnd(widths[i]) : cell.padStart(widths[i]),
    );
    console.log(`  ${line.join('  ').trimEnd()}`);
  }
}

function bytes(count) {
  if (count >= 1e6) return `${(count / 1e6).toFixed(2)} MB`;
  if (count >= 1e3) return `${(count / 1e3).toFixed(1)} kB`;
  return `${count} B`;
}
