import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { FacecastClient, FacecastError, type FacecastSession, type Retry } from './facecast-client.js';
import { HELP, parseTalkOptions, type TalkOptions, UsageError } from './talk-options.js';
import { StatusLine } from './talk-status-line.js';

const FAILED = 1;
const WRONG_USAGE = 2;
const NO_SERVICE = 3;
const STOPPED = 130;

const line = new StatusLine(process.stderr);
const stopping = new AbortController();
process.once('SIGINT', () => stopping.abort());
process.once('SIGTERM', () => stopping.abort());

try {
  const options = parseTalkOptions(process.argv.slice(2), process.env);
  if (options === 'help') process.stdout.write(HELP);
  else await talk(options, stopping.signal);
} catch (error) {
  line.end();
  if (stopping.signal.aborted) {
    console.error('Stopped; the session is deleted.');
    process.exitCode = STOPPED;
  } else {
    console.error(`talk: ${messageOf(error)}`);
    process.exitCode = exitCodeOf(error);
  }
}

async function talk(options: TalkOptions, signal: AbortSignal): Promise<void> {
  const [portrait, speech] = await Promise.all([readInput('image', options.image), readInput('audio', options.audio)]);
  const client = new FacecastClient(options.server, { onRetry: (retry) => line.show(waiting(retry)) });
  // Asked once: where nobody is, there is nothing to wait for. A service that still loads its model is waited for by init.
  await client.health({ signal }).catch((error) => {
    if (!(error instanceof FacecastError && error.code === 'not_ready')) throw error;
  });
  line.show('Reading the portrait …');
  const session = await client.init(portrait, { ...options.init, fileName: basename(options.image), signal });
  line.end();
  for (const warning of session.warnings) console.error(`Note: ${warning}`);
  console.log(`Watch it   ${options.server}/?session=${session.id}`);
  console.log(`HLS        ${session.hlsUrl}`);
  let keep = false;
  try {
    await speak(session, speech, options, signal);
    keep = await finish(session, options, signal);
  } finally {
    // Half a talk is of no use to anybody; without --out the stream is what was asked for.
    if (!keep) await session.cleanup().catch(() => undefined);
  }
}

async function speak(session: FacecastSession, speech: Blob, options: TalkOptions, signal: AbortSignal): Promise<void> {
  let sent = 'sending';
  await session.stream(speech, {
    pace: options.pace,
    chunkSeconds: options.chunkSeconds,
    fileName: basename(options.audio),
    signal,
    onProgress: ({ sentSeconds, totalSeconds, framesGenerated, status }) => {
      sent =
        sentSeconds === undefined || totalSeconds === undefined
          ? 'recording sent'
          : `${sentSeconds.toFixed(1)} of ${totalSeconds.toFixed(1)} s sent`;
      line.show(`${sent}, ${framesGenerated} frames, ${inWords(status)}`);
    },
  });
  const { total_frames_generated: frames } = await session.waitUntilComplete({
    signal,
    onProgress: (status) => line.show(`${sent}, ${status.total_frames_generated} frames, ${inWords(status.status)}`),
  });
  line.end();
  console.log(`Done       ${frames} frames, ${(frames / 25).toFixed(2)} s`);
}

/** @returns whether the session stays */
async function finish(session: FacecastSession, { out, keep }: TalkOptions, signal: AbortSignal): Promise<boolean> {
  if (!out) {
    console.log(`MP4        ${session.downloadUrl}`);
    console.log(
      'It can be replayed until nobody has watched it for a while (50 minutes, unless the service is set otherwise).',
    );
    return true;
  }
  const talk = await session.download({ signal });
  await writeFile(out, talk.stream());
  console.log(`Saved      ${out} (${(talk.size / 1024 / 1024).toFixed(1)} MB)`);
  return keep;
}

async function readInput(option: string, path: string): Promise<Blob> {
  try {
    return new Blob([await readFile(path)]);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : messageOf(error);
    throw new UsageError(`--${option} ${path}: ${reason}.`);
  }
}

function inWords(status: string): string {
  return status === 'waiting_for_audio' ? 'waiting for sound' : status;
}

function waiting({ error, waitSeconds }: Retry): string {
  return `${error.detail} Trying again in ${waitSeconds} s …`;
}

function messageOf(error: unknown): string {
  if (!(error instanceof FacecastError)) return error instanceof Error ? error.message : String(error);
  if (error.code === 'network')
    return `${error.detail} Start the service with "npm start", or name another with --server.`;
  return `${error.detail} (${error.code}${error.requestId ? `, request ${error.requestId}` : ''})`;
}

function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return WRONG_USAGE;
  return error instanceof FacecastError && error.code === 'network' ? NO_SERVICE : FAILED;
}
