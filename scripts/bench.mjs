// Measures one session of speech on this machine and prints what it costs. Linux only: it reads /proc.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { commandLine, wholeOption } from './command-line.mjs';

const root = resolve(import.meta.dirname, '..');
const HELP = `npm run bench [-- --image FILE --audio FILE --sessions 4 --json]

CPU seconds by stage, real-time factor, init time, time to the first segment and memory of one session with the built-in
model, 512x512 at 25 frames a second. --sessions: how many talk at once to tell the memory of one (2 to 64).`;

const options = commandLine('bench', HELP, readOptions);

const { decodeAudioChunk } = await import(join(root, 'dist/audio/decode.js'));
const { AudioChunkBuffer } = await import(join(root, 'dist/audio/audio-chunk-buffer.js'));
const { Resampler } = await import(join(root, 'dist/audio/resampler.js'));
// As the service does.
process.env.ORT_DISABLE_TELEMETRY ??= '1';
const { LocalEngine } = await import(join(root, 'dist/avatar/local-engine.js'));
const { decodePortrait } = await import(join(root, 'dist/avatar/portrait.js'));
const { ModelPack } = await import(join(root, 'dist/inference/model-pack.js'));
const { FacecastClient } = await import(join(root, 'clients/typescript/dist/facecast-client.js'));

const image = await readFile(options.image);
const audio = await readFile(options.audio);
const hint = { contentType: '', fileName: options.audio, sampleRate: 24000 };

const stages = await measureStages();
const whole = await measureService();
report(stages, whole);

function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      image: { type: 'string', default: join(root, 'clients/web/samples/portrait.jpg') },
      audio: { type: 'string', default: join(root, 'clients/web/samples/speech.wav') },
      sessions: { type: 'string', default: '4' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  return { ...values, sessions: wholeOption('sessions', values.sessions, 2, 64) };
}

/** Runs the stages one after another in this thread, so that the process's CPU time is the stage's. */
async function measureStages() {
  const engine = await LocalEngine.load(await ModelPack.read(join(root, 'models/portrait')), {
    device: 'cpu',
    batchFrames: 5,
  });
  const spent = {};
  const measure = async (stage, work) => {
    const before = process.cpuUsage();
    const result = await work();
    const { user, system } = process.cpuUsage(before);
    spent[stage] = (spent[stage] ?? 0) + (user + system) / 1e6;
    return result;
  };
  const avatar = await measure('portrait', async () =>
    engine.open(await decodePortrait(image), { crop: true, seed: 42, nfe: 10, cfgScale: 2 }),
  );
  const pcm = await measure('decode', () => decodeAudioChunk(audio, hint));
  const windows = new AudioChunkBuffer({ chunkDurationSeconds: 1, contextFrames: engine.description.contextFrames });
  await measure('resample', async () => {
    for (const rate of [48000, 16000]) {
      const resampler = new Resampler(rate);
      const samples = [await resampler.push(pcm.samples, pcm.sampleRate), await resampler.flush()];
      if (rate === 16000) for (const part of samples) windows.push(part);
      resampler.close();
    }
  });
  windows.finish();
  let frames = 0;
  for (let window = windows.next(); window; window = windows.next()) {
    const motion = await measure('motion', () => avatar.generateMotion(window, 0));
    await measure('render', () => avatar.render(motion, 0));
    frames += motion.frames;
  }
  await engine.close();
  const seconds = frames / 25;
  const { portrait, ...perTalk } = spent;
  return {
    portrait,
    seconds,
    perSecond: Object.fromEntries(Object.entries(perTalk).map(([s, cpu]) => [s, cpu / seconds])),
  };
}

/** Runs the real service as a process of its own and talks to it as a client does. */
async function measureService() {
  const hls = await mkdtemp(join(tmpdir(), 'facecast-bench-'));
  const port = 20000 + Math.floor(Math.random() * 20000);
  const service = spawn(process.execPath, [join(root, 'dist/main.js')], {
    cwd: root,
    env: { ...process.env, PORT: String(port), HOST: '127.0.0.1', HLS_DIR: hls, LOG_LEVEL: 'error' },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const url = `http://127.0.0.1:${port}`;
  service.once('exit', (code) => {
    if (code) process.exit(1); // it has said why
  });
  try {
    while (
      !(await fetch(`${url}/health`).then(
        (r) => r.ok,
        () => false,
      ))
    )
      await sleep(100);
    const client = new FacecastClient(url);
    const portrait = () => new Blob([image]);
    const speech = new Blob([audio], { type: 'audio/wav' });

    // First, because memory that has been used once stays with the process.
    const memory = await measureMemory(client, portrait(), speech, service.pid);
    // Once for warmth, then what counts.
    await talk(client, portrait(), speech);
    const inits = [];
    for (let i = 0; i < 5; i++) {
      const start = performance.now();
      const session = await client.init(portrait());
      inits.push((performance.now() - start) / 1000);
      await session.cleanup();
    }
    const talks = [];
    for (let i = 0; i < 5; i++) talks.push(await measureTalk(client, portrait(), speech, service.pid));
    // Cores are often shared: the talk in the middle, and how far the others were from it.
    talks.sort((a, b) => a.realTimeFactor - b.realTimeFactor);
    const full = { ...talks[2], slowest: talks[0].realTimeFactor, fastest: talks[4].realTimeFactor };
    const firstSegment = await measureFirstSegment(client, portrait());
    return { init: inits.sort((a, b) => a - b)[2], ...full, firstSegment, ...memory };
  } finally {
    service.kill('SIGKILL');
    await rm(hls, { recursive: true, force: true });
  }
}

async function talk(client, portrait, speech) {
  const session = await client.init(portrait);
  await session.stream(speech, { pace: 'full' });
  await session.waitUntilComplete();
  await session.cleanup();
}

/** Wall and CPU seconds of a whole talk, fed at once. */
async function measureTalk(client, portrait, speech, pid) {
  const session = await client.init(portrait);
  const encoder = (await children(pid)).at(-1);
  const cpu = async () => ({ service: await cpuSeconds(pid), encoder: await cpuSeconds(encoder) });
  const before = await cpu();
  let last = before;
  let encoderMemory = 0;
  const start = performance.now();
  await session.stream(speech, { pace: 'full' });
  // The encoder is gone when the talk is complete: look at it until then.
  let done = false;
  const watch = (async () => {
    while (!done) {
      const now = await cpu();
      if (now.encoder !== undefined) last = now;
      encoderMemory = Math.max(encoderMemory, await residentMegabytes(encoder));
      await sleep(20);
    }
  })();
  const status = await session.waitUntilComplete({ pollSeconds: 0.1 });
  const wall = (performance.now() - start) / 1000;
  done = true;
  await watch;
  const seconds = status.total_frames_generated / 25;
  await session.cleanup();
  return {
    realTimeFactor: seconds / wall,
    serviceCpu: ((await cpuSeconds(pid)) - before.service) / seconds,
    encoderCpu: (last.encoder - before.encoder) / seconds,
    encoderMemory,
  };
}

/** Seconds from the moment the first full window (1 s) has been fed, in real time, to the first playlist. */
async function measureFirstSegment(client, portrait) {
  const pcm = await decodeAudioChunk(audio, hint);
  const session = await client.init(portrait, { audioSampleRate: pcm.sampleRate });
  const playlist = fetch(session.hlsUrl).then(async (response) => {
    await response.text();
    return performance.now();
  });
  const step = pcm.sampleRate / 5;
  const start = performance.now();
  let windowIn = 0;
  for (let at = 0, n = 0; at + step <= pcm.samples.length && at < 4 * pcm.sampleRate; at += step, n++) {
    await sleep(Math.max(0, start + (n + 1) * 200 - performance.now()));
    const bytes = Buffer.from(Int16Array.from(pcm.samples.subarray(at, at + step), (x) => x * 32767).buffer);
    await session.feed(new Blob([bytes], { type: 'audio/L16' }), { contentType: 'audio/L16', fileName: 'chunk.pcm' });
    if (at + step >= pcm.sampleRate && !windowIn) windowIn = performance.now();
  }
  const ready = await playlist;
  await session.cleanup();
  return (ready - windowIn) / 1000;
}

/** Resident memory that each further talking session adds to the service: peaks with one and with several talking. */
async function measureMemory(client, portrait, speech, pid) {
  const idle = await residentMegabytes(pid);
  const one = await peakWhileTalking(client, portrait, speech, pid, 1);
  const count = options.sessions;
  const all = await peakWhileTalking(client, portrait, speech, pid, count);
  return { sessionMemory: (all - one) / (count - 1), serviceMemory: idle };
}

async function peakWhileTalking(client, portrait, speech, pid, count) {
  let talking = true;
  let peak = 0;
  const watch = (async () => {
    while (talking) {
      peak = Math.max(peak, await residentMegabytes(pid));
      await sleep(50);
    }
  })();
  const sessions = await Promise.all(Array.from({ length: count }, () => client.init(portrait)));
  await Promise.all(sessions.map((session) => session.stream(speech, { pace: 'full' })));
  await Promise.all(sessions.map((session) => session.waitUntilComplete()));
  talking = false;
  await watch;
  for (const session of sessions) await session.cleanup();
  return peak;
}

async function cpuSeconds(pid) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (!text) return undefined;
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function residentMegabytes(pid) {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024;
}

/** Process ids of a process's children, in the order they were started. */
async function children(pid) {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number)
    .sort((a, b) => a - b);
}

function report({ portrait, seconds, perSecond }, whole) {
  if (options.json) {
    console.log(JSON.stringify({ portraitCpu: portrait, seconds, cpuPerSecond: perSecond, ...whole }, null, 2));
    return;
  }
  const row = (name, value, target = '') => console.log(`  ${name.padEnd(52)} ${value.padStart(10)}   ${target}`);
  console.log(
    `\n${seconds.toFixed(1)} s of speech, 512x512 at 25 fps, ${cpus().length} x ${cpus()[0].model.trim()}, Node ${process.version}\n`,
  );
  console.log('CPU seconds per second of video');
  for (const [stage, cpu] of Object.entries(perSecond))
    row(stage, cpu.toFixed(4), stage === 'render' ? `${(cpu * 40).toFixed(1)} ms a frame` : '');
  row('encode (FFmpeg)', whole.encoderCpu.toFixed(4));
  row('the whole service process, FFmpeg not counted', whole.serviceCpu.toFixed(4));
  console.log('\nTimes');
  const spread = `(${whole.slowest.toFixed(2)} to ${whole.fastest.toFixed(2)} in 5 talks)`;
  row(
    'real-time factor of the whole pipeline',
    `${whole.realTimeFactor.toFixed(2)}x`,
    `target at least 2.5x ${spread}`,
  );
  row('init of a session, warm (median of 5)', `${whole.init.toFixed(2)} s`, 'target below 1.5 s');
  row('portrait: decode, find the face, analyse (CPU)', `${portrait.toFixed(2)} s`);
  row('first full window in -> first segment (real time)', `${whole.firstSegment.toFixed(2)} s`, 'target below 2 s');
  console.log('\nMemory');
  row('service before the first session', `${whole.serviceMemory.toFixed(0)} MB`);
  row('each further talking session, in the service', `${whole.sessionMemory.toFixed(0)} MB`, 'target below 60 MB');
  row('each session, in FFmpeg', `${whole.encoderMemory.toFixed(0)} MB`, 'target below 70 MB');
}
