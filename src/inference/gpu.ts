import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** An NVIDIA GPU, as its driver's `nvidia-smi` describes it. Memory in MiB. */
export interface Gpu {
  readonly uuid: string;
  readonly name: string;
  readonly totalMib: number;
  /** undefined where the driver does not say. */
  readonly freeMib: number | undefined;
}

/**
 * The GPUs that this process may use, in the driver's order or in that of `CUDA_VISIBLE_DEVICES`; none where nvidia-smi
 * cannot be run, as in a container without the driver's `utility` capability.
 */
export async function listGpus(visible = process.env.CUDA_VISIBLE_DEVICES): Promise<Gpu[]> {
  const query = ['--query-gpu=index,uuid,name,memory.total,memory.free', '--format=csv,noheader,nounits'];
  const { stdout } = await run('nvidia-smi', query, { timeout: 10_000, env: process.env }).catch(() => ({
    stdout: '',
  }));
  return visibleGpus(stdout, visible);
}

/** Free memory in MiB, undefined where it cannot be read. */
export async function freeMemory({ uuid }: Gpu): Promise<number | undefined> {
  return (await listGpus(uuid))[0]?.freeMib;
}

/** @param csv lines of index, UUID, name, total and free memory */
export function visibleGpus(csv: string, visible: string | undefined): Gpu[] {
  const gpus = csv
    .split('\n')
    .map((line) => line.split(',').map((field) => field.trim()))
    .filter((fields) => fields.length === 5)
    .map(([index, uuid, name, total, free]) => ({
      index: index!,
      gpu: {
        uuid: uuid!,
        name: name!,
        totalMib: Number(total) || 0,
        freeMib: /^\d+$/.test(free!) ? Number(free) : undefined,
      },
    }));
  if (visible === undefined) return gpus.map(({ gpu }) => gpu);
  // CUDA takes an index, or as much of a UUID as makes it unique, and stops at the first that it does not know.
  const chosen: Gpu[] = [];
  for (const wanted of visible.split(',').map((part) => part.trim())) {
    const found = gpus.find(({ index, gpu }) => index === wanted || (wanted !== '' && gpu.uuid.startsWith(wanted)));
    if (!found) break;
    chosen.push(found.gpu);
  }
  return chosen;
}
