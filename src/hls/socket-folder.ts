import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The process's id is in the name, so that the folder of a service that was killed can be told from that of another one. */
const PREFIX = 'facecast-';
const NAME = /^facecast-(\d+)-[A-Za-z0-9]{6}$/;

/** FFmpeg connects within moments and needs no names afterwards: no folder this old is needed by anybody who cannot be seen. */
const LEAST_AGE_MILLISECONDS = 60_000;

/** Makes a folder for the sockets of one encoder: as short a path as can be, because a socket's may have 103 characters. */
export function makeSocketFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
}

/**
 * Removes the folders of processes that are gone. To be called before the first encoder is started: those of an earlier
 * process with this one's id, as in a container, go as well.
 * @param directory where they are looked for
 * @returns how many were removed
 */
export async function sweepSocketFolders(directory = tmpdir()): Promise<number> {
  let removed = 0;
  for (const name of await readdir(directory)) {
    const pid = Number(NAME.exec(name)?.[1]);
    if (!pid || (pid !== process.pid && isAlive(pid))) continue;
    const path = join(directory, name);
    const changed = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => undefined,
    );
    if (changed === undefined || Date.now() - changed < LEAST_AGE_MILLISECONDS) continue;
    // Another user's stays.
    const gone = await rm(path, { recursive: true, force: true }).then(
      () => true,
      () => false,
    );
    if (gone) removed++;
  }
  return removed;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
