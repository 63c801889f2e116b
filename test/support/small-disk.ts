import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A disk of a few megabytes, in memory, that a test can fill up or make read-only. */
export interface SmallDisk {
  readonly folder: string;
  /** Leaves no room but so many bytes. */
  fill(leave?: number): void;
  /** Makes room again. */
  empty(): void;
  setReadOnly(readOnly: boolean): void;
  remove(): void;
}

/** @throws Error where this machine does not let us mount */
function mountDisk(megabytes: number): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), 'facecast-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'facecast-test', folder], { stdio: 'pipe' });
  } catch (error) {
    rmSync(folder, { recursive: true });
    throw error;
  }
  const filler = join(folder, 'filler');
  return {
    folder,
    fill: (leave = 0) => {
      const { bavail, bsize } = statfsSync(folder);
      writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - leave)));
    },
    empty: () => rmSync(filler, { force: true }),
    setReadOnly: (readOnly) =>
      void execFileSync('mount', ['-o', `remount,${readOnly ? 'ro' : 'rw'}`, folder], { stdio: 'pipe' }),
    remove: () => {
      // Lazily: a process that is just ending may still have a file open.
      execFileSync('umount', ['-l', folder], { stdio: 'pipe' });
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function canMount(): boolean {
  try {
    mountDisk(1).remove();
    return true;
  } catch {
    return false;
  }
}

const allowed = canMount();
if (!allowed) console.warn('Tests of full and read-only disks are skipped: mounting a tmpfs is not allowed here.');

/** `it`, skipped with a word where a small disk cannot be had. */
export const itWithSmallDisk = allowed ? it : it.skip;

export { mountDisk };
