// What NVIDIA's driver says of itself.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

const KERNEL_MODULE = '/proc/driver/nvidia/version';

/** The oldest Linux driver that runs each CUDA generation, by NVIDIA's compatibility table. */
export const OLDEST_DRIVER = { 12: 525, 13: 580 };

/** `NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  ...` -> `580.65.06`. */
export function parseKernelModule(text) {
  return /^NVRM version:.*?\s(\d+\.\d[\d.]*)\s/m.exec(text)?.[1];
}

/**
 * @returns {{version: string | undefined, cuda: string | undefined, gpus: string[], complaint: string | undefined}}
 *   `cuda` is the newest CUDA the driver speaks; `gpus` are lines such as `NVIDIA L4, 23034 MiB, compute capability 8.9`
 */
export function findDriver() {
  const query = ['--query-gpu=name,memory.total,compute_cap,driver_version', '--format=csv,noheader'];
  const list = spawnSync('nvidia-smi', query, { encoding: 'utf8' });
  const rows = list.status === 0 ? list.stdout.trim().split('\n').filter(Boolean) : [];
  const gpus = rows.map((row) => {
    const [name, memory, capability] = row.split(', ');
    return `${name}, ${memory}, compute capability ${capability}`;
  });
  const table = rows.length > 0 ? spawnSync('nvidia-smi', [], { encoding: 'utf8' }).stdout : '';
  const loaded = existsSync(KERNEL_MODULE) ? parseKernelModule(readFileSync(KERNEL_MODULE, 'utf8')) : undefined;
  return {
    version: rows[0]?.split(', ')[3] ?? loaded,
    cuda: /CUDA Version:\s*(\d+\.\d+)/.exec(table)?.[1],
    gpus,
    complaint: !list.error && list.status !== 0 ? (list.stdout || list.stderr).trim().split('\n')[0] : undefined,
  };
}
