// Lets one live session run for long and checks all the time that it keeps what is promised. Linux only: it reads /proc.
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { commandLine } from './command-line.mjs';
import { ClickCheck } from './live/click-check.mjs';
import { FrameCheck } from './live/frame-check.mjs';
import { endsAt } from './live/live-playlist.mjs';
import { LiveSession } from './live/live-session.mjs';
import { residentMegabytes } from './live/resident-memory.mjs';
import { readSegments } from './live/segment-reader.mjs';
import { encoderPids, startStampedService } from './live/service.mjs';
import { soakPlan } from './live/soak-plan.mjs';
import { brokenPromises, minuteLine, printSoak, summarise } from './live/soak-report.mjs';
import { sampleSpeech, utterance } from './live/speech.mjs';

const root = resolve(import.meta.dirname, '..');
const HELP = `npm run soak [-- --minutes 30 --json FILE]

One live session with a time code in its pictures: speech with clicks about every ten seconds, silences, interruptions. What
comes out is decoded and checked all the time: where the clicks are in sound and picture, that each frame is there once and
in its place, the playlist's time against the clock, and the memory of the service and of FFmpeg. A line a minute, a table at
the end, exit code 1 when a promise is broken.

  --minutes 30   0.5 to 10080; memory is told from the sixth minute on (from the first third on in runs of less than
                 15 minutes, which are too short to judge it)
  --json FILE    write all numbers there as well`;

const FPS = 25;
const SIDE = 512;
const SAMPLE_RATE = 24_000;
const MEMORY_SECONDS = 10;

const options = commandLine('soak', HELP, readOptions);
const controller = new AbortController();
const { signal } = controller;
const seconds = options.minutes * 60;
const service = await startStampedService({ root, quiet: true });
const began = Date.now();
const elapsed = () => (Date.now() - began) / 1000;

const record = {
  minutes: options.minutes,
  frames: new FrameCheck(),
  clicks: new ClickCheck(),
  /** `[seconds, milliseconds]` that a part's end is behind the clock when it is listed. */
  edges: [],
  /** `[seconds, megabytes]`. */
  memory: { service: [], encoder: [] },
  events: {},
  lateTold: 0,
  utterances: 0,
  broken: 0,
  interruptions: 0,
  /** Playlists that did not come within the time that a server may take. */
  refused: 0,
  failures: [],
};

let exitCode = 0;
try {
  const portrait = await readFile(join(root, 'clients/web/samples/portrait.jpg'));
  const session = await LiveSession.open(service.url, portrait, { audio_sample_rate: SAMPLE_RATE });
  const told = [];
  const background = [listen(session, told), read(session), weigh(), tellMinutes()];
  await talk(session, told);
  await sleep(Math.max(0, (seconds - elapsed()) * 1000));
  controller.abort();
  await Promise.all(background);
  const summary = summarise(record);
  printSoak(summary);
  if (options.json) await writeFile(options.json, `${JSON.stringify({ ...summary, record }, null, 2)}\n`);
  if (brokenPromises(summary).length > 0) exitCode = 1;
} catch (error) {
  console.error(`soak: ${error.message}`);
  exitCode = 1;
} finally {
  controller.abort();
  await service.stop();
}
process.exit(exitCode);

function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: 'string', default: '30' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const minutes = Number(values.minutes);
  if (!(minutes >= 0.5 && minutes <= 10080)) throw new Error(`--minutes ${values.minutes}: from 0.5 to 10080.`);
  return { ...values, minutes };
}

/** Says what the plan has, and has each utterance's clicks checked when it is over. */
async function talk(session, told) {
  const speech = await sampleSpeech(root, SAMPLE_RATE);
  for (const planned of soakPlan(seconds)) {
    await sleep(Math.max(0, (planned.at - elapsed()) * 1000));
    told.length = 0;
    await session.feed(utterance(speech, SAMPLE_RATE, planned.seconds, planned.clicks));
    record.utterances++;
    if (planned.interruptAfter !== undefined) {
      await sleep(planned.interruptAfter * 1000);
      await session.interrupt();
      record.interruptions++;
    }
    const over = () => told.some(({ type }) => type === 'speech_ended');
    for (let waited = 0; waited < 15_000 && !over(); waited += 100) await sleep(100);
    const started = told.filter(({ type }) => type === 'speech_started');
    if (started.length === 0) record.failures.push(`Nothing was heard of the utterance at ${planned.at} s.`);
    // One that ran dry is heard in two pieces, and where the second one's clicks are is not known.
    else if (started.length > 1) record.broken++;
    else {
      const interruptedAt = told.find(({ type }) => type === 'interrupted')?.frame;
      record.clicks.expect({ startFrame: started[0].frame, clicks: planned.clicks, interruptedAt });
    }
  }
}

async function listen(session, told) {
  await untilAborted(async () => {
    for await (const event of session.events(signal)) {
      told.push(event);
      record.events[event.type] = (record.events[event.type] ?? 0) + 1;
      if (event.type === 'lagging') record.lateTold += Number(/\d+/.exec(event.detail)?.[0] ?? 0);
    }
  });
}

async function read(session) {
  const onPlaylist = ({ at, playlist }) => record.edges.push([elapsed(), at - endsAt(playlist, FPS)]);
  const onRefused = () => record.refused++;
  const how = { fps: FPS, width: SIDE, now: Date.now, signal, onPlaylist, onRefused };
  await untilAborted(async () => {
    for await (const decoded of readSegments(session.playlistUrl, how)) {
      record.frames.add(decoded);
      record.clicks.add(decoded);
    }
  });
}

async function weigh() {
  await untilAborted(async () => {
    for (;;) {
      const [encoder] = await encoderPids(service.pid);
      const at = elapsed();
      const [ours, its] = [await residentMegabytes(service.pid), encoder && (await residentMegabytes(encoder))];
      if (ours) record.memory.service.push([at, ours]);
      if (its) record.memory.encoder.push([at, its]);
      await sleep(MEMORY_SECONDS * 1000, undefined, { signal });
    }
  });
}

async function tellMinutes() {
  await untilAborted(async () => {
    for (;;) {
      await sleep(60_000, undefined, { signal });
      console.log(minuteLine(record, elapsed()));
    }
  });
}

/** What goes wrong before the end is a broken promise; that it stops at the end is none. */
async function untilAborted(work) {
  try {
    await work();
    if (!signal.aborted) record.failures.push('The session ended by itself.');
  } catch (error) {
    if (!signal.aborted) record.failures.push(error.message);
  }
}
