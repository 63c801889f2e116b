import { readFile } from 'node:fs/promises';

/** Names this process, so that another one can tell whether it still runs: its id, and on Linux when it was started. */
export async function processMark(): Promise<string> {
  return `${process.pid} ${(await startOf(process.pid)) ?? ''}`.trim();
}

/**
 * Whether the process of a mark is another one that still runs. The id alone does not tell: after a restart of the machine
 * some other program may have it.
 */
export async function runsStill(mark: string): Promise<boolean> {
  const [id, start] = mark.trim().split(' ');
  const pid = Number(id);
  if (!(pid > 0) || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const startNow = await startOf(pid);
  return start === undefined || startNow === undefined || start === startNow;
}

/** When a process was started: the boot it belongs to, and clock ticks since (proc_pid_stat(5), field 22). */
async function startOf(pid: number): Promise<string | undefined> {
  const read = (path: string) => readFile(path, 'utf8').catch(() => '');
  const [boot, stat] = await Promise.all([read('/proc/sys/kernel/random/boot_id'), read(`/proc/${pid}/stat`)]);
  // The second field is the program's name in brackets, whatever is in it.
  const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return boot && ticks ? `${boot.trim()}:${ticks}` : undefined;
}
