import { readFile } from 'node:fs/promises';

/** States of proc_pid_stat(5): a zombie, and dead. */
const ENDED = ['Z', 'X'];

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
  return startNow !== 'never' && (start === undefined || startNow === undefined || start === startNow);
}

/**
 * When a process was started: the boot it belongs to, and clock ticks since (proc_pid_stat(5), field 22). One that has ended, and
 * only waits for its parent to hear of it, was never started.
 */
async function startOf(pid: number): Promise<string | undefined> {
  const read = (path: string) => readFile(path, 'utf8').catch(() => '');
  const [boot, stat] = await Promise.all([read('/proc/sys/kernel/random/boot_id'), read(`/proc/${pid}/stat`)]);
  // The second field is the program's name in brackets, whatever is in it.
  const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (ENDED.includes(state)) return 'never';
  const ticks = fields[18];
  return boot && ticks ? `${boot.trim()}:${ticks}` : undefined;
}
