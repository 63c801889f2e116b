// Measures full-size model packs on a GPU (or, to try it out, on the CPU) and prints a table and JSON. Linux only.
import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { describeGpus } from './bench-gpu/nvidia-smi.mjs';
import { printReport } from './bench-gpu/report.mjs';
import { commandLine, wholeOption } from './command-line.mjs';

// ONNX Runtime reports its use to Microsoft unless told not to; the parts below inherit this.
process.env.ORT_DISABLE_TELEMETRY ??= '1';

const root = resolve(import.meta.dirname, '..');
const HELP = `npm run bench:gpu -- --fp32 DIR [--fp16 DIR] [options]

Measures model packs of IMTalker's kind; packs exported with --random-weights do as well as the real ones, because what is
measured does not depend on the weights. DIR is the pack's folder, beside a folder "portrait" with the face graphs.
Every number comes with its spread: runs of all variants take turns, after a warm-up; the middle run counts.

  --fp32 DIR, --fp16 DIR   the packs to measure, at least one of them (default: --fp32 models/imtalker)
  --device cuda            or tensorrt, or cpu to try the measurement itself out
  --batches 1,4,8,16       frames in one run of the renderer, and windows in one of the motion generator
  --seconds 2              how long each variant is measured
  --sessions 1,4,10,16     talks at the same time through the service's engine; 0: leave that part out
  --talk-seconds 8         how long they talk
  --published DIR          a checkout of IMTalker: its own PyTorch loop, frame by frame, beside the rest
  --python FILE            the Python that has what models/imtalker/requirements.txt lists (default python3)
  --threads 1              threads of one run on the CPU
  --small                  with --published: the tiny networks of export.py --small
  --json FILE              write all numbers there as well`;

const KNOWN = {
  fp32: { type: 'string' },
  fp16: { type: 'string' },
  device: { type: 'string', default: 'cuda' },
  batches: { type: 'string', default: '1,4,8,16' },
  seconds: { type: 'string', default: '2' },
  sessions: { type: 'string', default: '1,4,10,16' },
  'talk-seconds': { type: 'string', default: '8' },
  published: { type: 'string' },
  python: { type: 'string', default: 'python3' },
  threads: { type: 'string', default: '1' },
  small: { type: 'boolean', default: false },
  json: { type: 'string' },
  help: { type: 'boolean', default: false },
};

const options = commandLine('bench:gpu', HELP, readOptions);

try {
  const report = await measure();
  printReport(report);
  if (options.json) await writeFile(options.json, `${JSON.stringify(report, null, 2)}\n`);
} catch (error) {
  console.error(`bench:gpu: ${error.message}`);
  process.exit(1);
}

function readOptions(args) {
  const { values } = parseArgs({ args, options: KNOWN });
  if (values.help) return values;
  const decimal = (name, least, most) => {
    const number = Number(values[name]);
    if (number >= least && number <= most) return number;
    throw new Error(`--${name} ${values[name]}: a number from ${least} to ${most}.`);
  };
  const list = (name, least, most) => {
    const numbers = values[name].split(',').map((text) => wholeOption(name, text.trim(), least, most));
    return [...new Set(numbers)].sort((a, b) => a - b);
  };
  if (!['cuda', 'tensorrt', 'cpu'].includes(values.device)) {
    throw new Error(`--device ${values.device}: cuda, tensorrt or cpu.`);
  }
  const packs = {};
  for (const precision of ['fp32', 'fp16']) {
    if (values[precision]) packs[precision] = resolve(values[precision]);
  }
  if (Object.keys(packs).length === 0) packs.fp32 = join(root, 'models/imtalker');
  for (const [precision, directory] of Object.entries(packs)) {
    if (existsSync(join(directory, 'pack.json'))) continue;
    throw new Error(
      `--${precision}: there is no pack.json in ${directory}. models/imtalker/README.md says how to export one; --random-weights needs no checkpoints.`,
    );
  }
  if (values.published && !existsSync(join(values.published, 'renderer/models.py'))) {
    throw new Error(`--published ${values.published}: no checkout of IMTalker, renderer/models.py is missing.`);
  }
  return {
    packs,
    device: values.device,
    batches: list('batches', 1, 256),
    seconds: decimal('seconds', 0.01, 600),
    sessions: list('sessions', 0, 1000).filter((count) => count > 0),
    talkSeconds: decimal('talk-seconds', 1, 600),
    threads: wholeOption('threads', values.threads, 1, 256),
    published: values.published && {
      repository: resolve(values.published),
      python: values.python,
      small: values.small,
    },
    json: values.json,
  };
}

async function measure() {
  const { packs, sessions, device } = options;
  const idle = sessions.length > 0 ? 'sessions' : undefined;
  const report = { machine: await machine(), device, seconds: options.seconds, memory: {}, sessions: {} };
  // Memory first, each pack in a process of its own: what another has taken would blur it. Without CUDA it ends here.
  for (const [precision, directory] of Object.entries(packs)) {
    report.memory[precision] = await stage('memory', { ...options, precision, directory });
  }
  Object.assign(report, await stage('graphs', options));
  for (const [precision, directory] of idle ? Object.entries(packs) : []) {
    report.sessions[precision] = await stage('sessions', { ...options, precision, directory });
  }
  return report;
}

/** Runs one part of the measurement as a process of its own, so that each begins with an empty GPU. */
function stage(name, input) {
  return new Promise((resolve, reject) => {
    const child = fork(join(import.meta.dirname, 'bench-gpu', `${name}.mjs`), { stdio: 'inherit' });
    let answer;
    child.on('message', (message) => {
      if (message.progress) process.stderr.write(`${message.progress}\n`);
      else answer = message;
    });
    child.once('exit', (code, signal) => {
      if (answer?.result) resolve(answer.result);
      else reject(new Error(answer?.error ?? `the ${name} part ended with ${signal ?? `exit code ${code}`}.`));
    });
    child.send(input);
  });
}

async function machine() {
  const { version } = JSON.parse(await readFile(join(root, 'node_modules/onnxruntime-node/package.json'), 'utf8'));
  return {
    gpus: options.device === 'cpu' ? [] : await describeGpus(),
    cpu: `${cpus().length} x ${cpus()[0].model.trim()}`,
    node: process.version,
    onnxruntime: version,
  };
}
