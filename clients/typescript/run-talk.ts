import { access, constants, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { FacecastClient, FacecastError, type FacecastSession, type Retry } from './facecast-client.js';
import { HELP, parseTalkOptions, type TalkOptions, UsageError } from './talk-options.js';
import { StatusLine, type Terminal } from './talk-status-line.js';

const DONE = 0;
const FAILED = 1;
const WRONG_USAGE = 2;
const NO_SERVICE = 3;
const STOPPED = 130;

/** What the program has from the system. */
export interface TalkEnvironment {
  readonly variables: NodeJS.ProcessEnv;
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  /** Ends the talk. */
  readonly signal: AbortSignal;
}

/**
 * The command line's talk, from its arguments to its end.
 * @returns the exit status, as `HELP` explains it
 */
export async function runTalk(args: readonly string[], environment: TalkEnvironment): Promise<number> {
  return new Talk(environment).run(args);
}

class Talk {
  readonly #environment: TalkEnvironment;
  readonly #signal: AbortSignal;
  readonly #line: StatusLine;

  constructor(environment: TalkEnvironment) {
    this.#environment = environment;
    this.#signal = environment.signal;
    this.#line = new StatusLine(environment.stderr);
  }

  async run(args: readonly string[]): Promise<number> {
    let session: FacecastSession | undefined;
    let keep = false;
    let status = DONE;
    try {
      const options = parseTalkOptions(args, this.#environment.variables);
      if (options === 'help') {
        this.#environment.stdout.write(HELP);
        return DONE;
      }
      const speech = await readInput('audio', options.audio);
      if (options.out) await checkFolder(options.out);
      session = await this.#open(options);
      await this.#speak(session, speech, options);
      keep = await this.#finish(session, options);
    } catch (error) {
      status = this.#report(error);
      keep = error instanceof UnsavedError;
    }
    // Half a talk is of no use to anybody; without --out the stream is what was asked for.
    if (session && !keep) await this.#discard(session);
    return status;
  }

  async #open(options: TalkOptions): Promise<FacecastSession> {
    const portrait = await readInput('image', options.image);
    const signal = this.#signal;
    const client = new FacecastClient(options.server, {
      onRetry: (retry) => this.#line.show(waiting(retry)),
      ...(options.apiKey && { apiKey: options.apiKey }),
    });
    // Asked once: where nobody is, there is nothing to wait for. A service that still loads its model is waited for by init.
    await client.health({ signal }).catch((error) => {
      if (!(error instanceof FacecastError && error.code === 'not_ready')) throw error;
    });
    this.#line.show('Reading the portrait …');
    const session = await client.init(portrait, { ...options.init, fileName: basename(options.image), signal });
    for (const warning of session.warnings) this.#note(`Note: ${warning}`);
    this.#print(`Watch it   ${options.server}/?session=${session.id}`);
    this.#print(`HLS        ${session.hlsUrl}`);
    return session;
  }

  async #speak(session: FacecastSession, speech: Blob, options: TalkOptions): Promise<void> {
    let sent = 'sending';
    const signal = this.#signal;
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
        this.#line.show(`${sent}, ${framesGenerated} frames, ${inWords(status)}`);
      },
    });
    const { total_frames_generated: frames } = await session.waitUntilComplete({
      signal,
      onProgress: (status) =>
        this.#line.show(`${sent}, ${status.total_frames_generated} frames, ${inWords(status.status)}`),
    });
    this.#print(`Done       ${frames} frames, ${(frames / 25).toFixed(2)} s`);
  }

  /** @returns whether the session stays */
  async #finish(session: FacecastSession, { out, keep }: TalkOptions): Promise<boolean> {
    if (!out) {
      this.#print(`MP4        ${session.downloadUrl}`);
      this.#print(
        'It can be replayed until nobody has watched it for a while (50 minutes, unless the service is set otherwise).',
      );
      return true;
    }
    const talk = await session.download({ signal: this.#signal });
    await writeFile(out, talk.stream()).catch((error) => {
      throw new UnsavedError(
        `${out} could not be written (${messageOf(error)}). The talk stays at ${session.downloadUrl}`,
      );
    });
    this.#print(`Saved      ${out} (${(talk.size / 1024 / 1024).toFixed(1)} MB)`);
    return keep;
  }

  /** @returns the exit status */
  #report(error: unknown): number {
    if (this.#signal.aborted) {
      this.#note('Stopped.');
      return STOPPED;
    }
    this.#note(`talk: ${messageOf(error)}`);
    if (error instanceof UsageError) return WRONG_USAGE;
    return error instanceof FacecastError && error.code === 'network' ? NO_SERVICE : FAILED;
  }

  /** Tries once: nobody wants to wait for this. */
  async #discard(session: FacecastSession): Promise<void> {
    try {
      await session.cleanup({ maxAttempts: 1 });
      this.#note('The session is deleted.');
    } catch (error) {
      this.#note(`The session could not be deleted (${messageOf(error)}); the service deletes it after a while.`);
    }
  }

  #print(text: string): void {
    this.#line.end();
    this.#environment.stdout.write(`${text}\n`);
  }

  #note(text: string): void {
    this.#line.end();
    this.#environment.stderr.write(`${text}\n`);
  }
}

/** A talk that was made but could not be saved: it stays on the service. */
class UnsavedError extends Error {}

/** Before anything is rendered. @throws UsageError when no file can be made there */
async function checkFolder(out: string): Promise<void> {
  await access(dirname(out), constants.W_OK).catch(() => {
    throw new UsageError(`--out ${out}: the folder ${dirname(out)} is not there or cannot be written.`);
  });
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
