/** What one second of one session's video costs on this machine, in seconds. */
export interface SessionCost {
  /** Of an inference worker. */
  readonly model: number;
  /** Of a core: FFmpeg. */
  readonly encoder: number;
}

export interface Machine {
  /** Cores that this process may use. */
  readonly cores: number;
  /** Inference workers, and whether each of them is busy on a core or on a GPU. */
  readonly workers: number;
  readonly workersOnCpu: boolean;
}

/**
 * Decoding, resampling, packaging, serving and collecting garbage, and that an encoder gets its frames one by one: CPU
 * seconds per second of video of a live session, measured on two shared cores.
 */
const SERVICE_COST = 0.08;
/** What is left over for the system, and for moments in which all sessions want something at once. */
const USABLE = 0.9;

/**
 * How many sessions this machine keeps in real time: as many as its cores bear, and its inference workers. Pure.
 * @returns at least 1
 */
export function capacityOf({ cores, workers, workersOnCpu }: Machine, { model, encoder }: SessionCost): number {
  const onCores = (workersOnCpu ? model : 0) + encoder + SERVICE_COST;
  const most = Math.min(cores / onCores, workers / model);
  return Math.max(1, Math.floor(USABLE * most));
}
