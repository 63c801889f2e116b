import {
  access,
  constants,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { now } from '../clock.js';
import { processMark, runsStill } from './process-mark.js';
import { isDiskFull } from './storage-error.js';

/**
 * A file that says: this folder is one talk's, made by the service whose process is named in it. Nothing else is ever
 * swept away.
 */
const MARKER = '.facecast-session';

/** A disk that is full is given so long to have room again, and is looked at so often. */
const FULL_PATIENCE_MILLISECONDS = 60_000;
const FULL_LOOK_MILLISECONDS = 500;
/** So often it is looked whether a process is gone. */
const DYING_LOOK_MILLISECONDS = 100;

/** What a session has accepted, in its folder; the session writes it. */
export const JOURNAL_NAME = 'journal';

/** File name of an init segment: `init.mp4`, and `init-2.mp4` and so on for encoders that took over. */
export function initName(number: number): string {
  return number === 1 ? 'init.mp4' : `init-${number}.mp4`;
}

/** File name of a segment, counted from 1, such as `segment-00001.m4s`. */
export function segmentName(number: number): string {
  return `segment-${String(number).padStart(5, '0')}.m4s`;
}

/** The number in a segment's file name; undefined for every other name. */
export function segmentNumber(name: string): number | undefined {
  const digits = /^segment-(\d{5,15})\.m4s$/.exec(name)?.[1];
  const number = Number(digits);
  return digits !== undefined && segmentName(number) === name ? number : undefined;
}

/**
 * The folder of one talk on disk: init segment, segments, and what else belongs to it. Writes are done one after the
 * other, and a file has its name only when it is whole.
 */
export class SegmentStore {
  readonly #directory: string;
  /** Numbers of the oldest and the newest segment there: a talk of days has too many to keep their names. */
  #oldestSegment = 1;
  #newestSegment = 0;
  #queue: Promise<unknown> = Promise.resolve();
  #pendingBytes = 0;
  readonly #patience: number;
  readonly #hurry = new AbortController();

  private constructor(directory: string, patienceMilliseconds: number) {
    this.#directory = directory;
    this.#patience = patienceMilliseconds;
  }

  /**
   * Makes the folder; one left over from an earlier talk is emptied when it is ours.
   * @param patienceMilliseconds how long writes wait for room where the disk is full
   * @throws Error when the folder is there and not ours, or another service is at work in it, or it cannot be made.
   */
  static async create(directory: string, patienceMilliseconds = FULL_PATIENCE_MILLISECONDS): Promise<SegmentStore> {
    const absolute = resolve(directory);
    if (await isInUse(absolute)) throw new Error(`Another service is at work in ${directory}.`);
    if (await isOurs(absolute)) await rm(absolute, { recursive: true, force: true });
    await makeFolder(dirname(absolute));
    await mkdir(absolute);
    await writeFile(join(absolute, MARKER), await processMark()).catch(async (error) => {
      // Nobody would know it for ours.
      await rm(absolute, { recursive: true, force: true });
      throw error;
    });
    return new SegmentStore(absolute, patienceMilliseconds);
  }

  /**
   * Goes on with the folder of an earlier talk. Whoever took over says so in it, so that no other service does.
   * @throws Error when the folder is not ours, or another service is at work in it
   */
  static async resume(directory: string, patienceMilliseconds = FULL_PATIENCE_MILLISECONDS): Promise<SegmentStore> {
    const absolute = resolve(directory);
    if (!(await isOurs(absolute))) throw new Error(`${directory} is no folder of a session.`);
    if (await isInUse(absolute)) throw new Error(`Another service is at work in ${directory}.`);
    await writeFile(join(absolute, MARKER), await processMark());
    const store = new SegmentStore(absolute, patienceMilliseconds);
    const numbers = (await readdir(absolute)).flatMap((name) => segmentNumber(name) ?? []);
    if (numbers.length > 0) {
      store.#oldestSegment = numbers.reduce((least, number) => Math.min(least, number));
      store.#newestSegment = numbers.reduce((most, number) => Math.max(most, number));
    }
    return store;
  }

  /** Numbers of the oldest and the newest segment there; 1 and 0 while there is none. */
  get range(): readonly [oldest: number, newest: number] {
    return [this.#oldestSegment, this.#newestSegment];
  }

  /** Bytes handed to `write` that are not on disk yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Writes a file and gives it its name when it is whole, so that a reader never sees half of it. Segments are written in
   * order, from number 1. A write after one that failed fails too.
   * @param synced whether it outlives a power failure when this resolves
   */
  write(name: string, chunks: readonly Uint8Array[], { synced = false } = {}): Promise<void> {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    this.#pendingBytes += bytes;
    const write = this.#queue.then(async () => {
      await this.#whenThereIsRoom(() => writeFile(this.path(`${name}.part`), chunks, { flush: synced }));
      await rename(this.path(`${name}.part`), this.path(name));
      if (synced) await syncPath(this.#directory);
      this.#newestSegment = segmentNumber(name) ?? this.#newestSegment;
      this.#pendingBytes -= bytes;
    });
    this.#queue = write;
    write.catch(() => {}); // the caller of `write` or `flushed` hears of it
    return write;
  }

  /** Tries again while the disk is full: what waits meanwhile is in memory, and somebody may make room. */
  async #whenThereIsRoom(work: () => Promise<void>): Promise<void> {
    const { signal } = this.#hurry;
    for (const until = now() + this.#patience; ; ) {
      try {
        return await work();
      } catch (error) {
        if (!isDiskFull(error) || now() >= until || signal.aborted) throw error;
        await sleep(FULL_LOOK_MILLISECONDS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** Resolves when everything handed to `write` is on disk. */
  async flushed(): Promise<void> {
    await this.#queue;
  }

  /** Absolute path for a name, whether the file is there or not. */
  path(name: string): string {
    return join(this.#directory, name);
  }

  /** Absolute path of a segment that is whole and there; undefined for every other number. */
  segmentPath(number: number): string | undefined {
    const there = number >= this.#oldestSegment && number <= this.#newestSegment;
    return there ? this.path(segmentName(number)) : undefined;
  }

  /** Removes the oldest segments, all up to this number, once they are written. */
  async removeSegments(upTo: number): Promise<void> {
    await this.#queue;
    while (this.#oldestSegment <= Math.min(upTo, this.#newestSegment)) {
      await rm(this.path(segmentName(this.#oldestSegment++)), { force: true });
    }
  }

  /** The newest segment turned out not to be whole: the next one takes its name. Before anything is written. */
  forgetNewest(): void {
    this.#newestSegment--;
  }

  /** No write waits for room any more. */
  hurry(): void {
    this.#hurry.abort();
  }

  /** Removes the folder and all in it. */
  async remove(): Promise<void> {
    this.hurry();
    await this.#queue.catch(() => {});
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/**
 * Makes the folder of all talks, if need be.
 * @throws Error when it cannot be made or written.
 */
export async function prepareHlsDirectory(hlsDirectory: string): Promise<void> {
  try {
    await makeFolder(resolve(hlsDirectory));
    await access(hlsDirectory, constants.W_OK);
  } catch (cause) {
    throw new Error(`HLS_DIR=${hlsDirectory} cannot be written.`, { cause });
  }
}

/** `mkdir -p`. Node's own never returns where a folder refuses to have children, as /proc does. */
async function makeFolder(path: string): Promise<void> {
  const parent = dirname(path);
  if (!(await stat(parent).catch(() => undefined))) await makeFolder(parent);
  await mkdir(path).catch((error) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

/** A session's folder that an earlier service has left. */
export interface LeftSession {
  readonly id: string;
  /** Since anything in it was written, or somebody wanted it. */
  readonly idleMilliseconds: number;
  /** Whether it holds what is needed to go on. */
  readonly journaled: boolean;
  /** Whether the service that left it seems to be at work in it still. */
  readonly inUse: boolean;
}

/** Only folders that hold the marker. */
export async function leftSessions(hlsDirectory: string): Promise<LeftSession[]> {
  const left: LeftSession[] = [];
  for (const { name: id } of await readdir(hlsDirectory, { withFileTypes: true })) {
    const folder = join(hlsDirectory, id);
    if (!(await isOurs(folder))) continue;
    const [entry, journal] = await Promise.all(
      [folder, join(folder, JOURNAL_NAME)].map((path) => stat(path).catch(() => undefined)),
    );
    // Somebody removes it just now.
    if (!entry) continue;
    const written = Math.max(entry.mtimeMs, journal?.mtimeMs ?? 0);
    const idleMilliseconds = Date.now() - written;
    left.push({ id, idleMilliseconds, journaled: journal !== undefined, inUse: await isInUse(folder) });
  }
  return left;
}

/**
 * Waits for the service to be gone that is at work in a session's folder: one that was killed takes a moment to die.
 * @param until when that has lasted long enough, milliseconds of `now()`
 * @returns whether it is
 */
export async function untilUnused(hlsDirectory: string, id: string, until: number): Promise<boolean> {
  while (await isInUse(join(hlsDirectory, id))) {
    if (now() >= until) return false;
    await sleep(DYING_LOOK_MILLISECONDS);
  }
  return true;
}

/**
 * Notes that somebody wanted a session, for `leftSessions` of another life: a stream that is only watched is not written to.
 * @param at milliseconds since the epoch
 */
export async function noteActivity(hlsDirectory: string, id: string, at: number): Promise<void> {
  await utimes(join(hlsDirectory, id), at / 1000, at / 1000);
}

/** Removes a folder that `leftSessions` has named. */
export async function removeSession(hlsDirectory: string, id: string): Promise<void> {
  await rm(join(hlsDirectory, id), { recursive: true, force: true });
}

/**
 * Makes everything in a session's folder outlive a power failure.
 * @throws Error of the file system
 */
export async function syncFolderAndFiles(directory: string): Promise<void> {
  for (const name of await readdir(directory)) await syncPath(join(directory, name));
  await syncPath(directory);
}

/** Has what was written to a file, or the names in a folder, on the disk; one that was removed meanwhile is none. */
async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  try {
    await file?.sync();
  } finally {
    await file?.close();
  }
}

/** Whether another process that still runs made the folder. */
async function isInUse(folder: string): Promise<boolean> {
  return runsStill(await readFile(join(folder, MARKER), 'utf8').catch(() => ''));
}

async function isOurs(folder: string): Promise<boolean> {
  const marker = await stat(join(folder, MARKER)).catch(() => undefined);
  return marker?.isFile() ?? false;
}
