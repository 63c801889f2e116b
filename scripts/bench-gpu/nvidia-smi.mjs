// What NVIDIA's own tool says of the GPUs and their memory.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

async function query(what) {
  const { stdout } = await execute('nvidia-smi', [what, '--format=csv,noheader,nounits']);
  return stdout
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(',').map((field) => field.trim()));
}

/** One line per GPU: name, memory, driver. Empty where there is no nvidia-smi. */
export async function describeGpus() {
  const rows = await query('--query-gpu=name,memory.total,driver_version').catch(() => []);
  return rows.map(([name, memory, driver]) => `${name}, ${memory} MiB, driver ${driver}`);
}

/**
 * MiB of GPU memory that the processes hold.
 *
 * Inside some containers and virtual machines the driver knows other process ids, or none; then it is all memory in use
 * on the first GPU, which is the same where nobody else uses it.
 * @param pids processes to add up
 * @returns undefined where there is no nvidia-smi
 */
export async function gpuMemory(pids) {
  try {
    const apps = await query('--query-compute-apps=pid,used_memory');
    const ours = apps.filter(([pid, used]) => pids.includes(Number(pid)) && Number.isFinite(Number(used)));
    if (ours.length > 0) return { megabytes: ours.reduce((sum, [, used]) => sum + Number(used), 0), of: 'process' };
    const [[used]] = await query('--query-gpu=memory.used');
    return { megabytes: Number(used), of: 'gpu' };
  } catch {
    return undefined;
  }
}
