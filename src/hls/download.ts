import type { ChildProcess } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError } from '../errors.js';
import { runFfmpeg } from './ffmpeg.js';

/**
 * A finished talk as one MP4 file whose index comes first, so that it plays while it loads. FFmpeg copies the encoded
 * pictures and sound as they are. Made once, at the first request; requests at the same time share the one run.
 */
export class Download {
  readonly #target: string;
  #made: Promise<string> | undefined;
  #process: ChildProcess | undefined;
  #closed = false;

  /** @param target absolute path of the MP4 file to make. */
  constructor(target: string) {
    this.#target = target;
  }

  /**
   * @param sources absolute paths: the init segment and, in order, every segment.
   * @returns path of the MP4 file.
   * @throws AppError `internal` when FFmpeg fails; the next call tries again. `session_closed` after `close`.
   */
  file(sources: readonly string[]): Promise<string> {
    this.#made ??= this.#make(sources).catch((cause) => {
      this.#made = undefined;
      if (this.#closed) throw new AppError('session_closed', 'The session was closed.');
      throw new AppError('internal', 'The talk could not be written as one file.', { cause });
    });
    return this.#made;
  }

  /** Stops a run that is under way. Idempotent; resolves when nothing is running. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#process?.kill('SIGKILL');
    await this.#made?.catch(() => {});
  }

  async #make(sources: readonly string[]): Promise<string> {
    if (this.#closed) throw new Error('closed');
    const part = `${this.#target}.part`;
    // Through a pipe: a long talk has more segments than a command line has room for.
    const { process, done } = runFfmpeg([
      ...['-y', '-f', 'mp4', '-i', 'pipe:0', '-map', '0', '-c', 'copy', '-movflags', '+faststart', '-f', 'mp4', part],
    ]);
    this.#process = process;
    // Awaited below; until then a failure must not count as unheard.
    done.catch(() => undefined);
    try {
      const fed = pipeline(Readable.from(contents(sources)), process.stdin!).then(
        () => undefined,
        (error) => error,
      );
      // When FFmpeg leaves early the pipe breaks too, but FFmpeg's own words are the ones that help.
      await done;
      const missing = await fed;
      // FFmpeg is content with less, and would make a talk that is too short.
      if (missing) throw missing;
      await rename(part, this.#target);
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    } finally {
      this.#process = undefined;
    }
    return this.#target;
  }
}

async function* contents(paths: readonly string[]): AsyncGenerator<Buffer> {
  for (const path of paths) yield* createReadStream(path);
}
