import { livingThreads } from './inference/worker-host.js';

/**
 * Ends this process now, whatever its threads are at; what has to be in order is in order before.
 * @param code its exit status where all of them have ended; it dies of SIGKILL where one has not
 */
export function endProcess(code: number): never {
  // The first process of a container does not die of its own signal, and goes on to the exit.
  if (livingThreads() > 0) process.kill(process.pid, 'SIGKILL');
  process.exit(code);
}
