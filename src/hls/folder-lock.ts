import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type FileHandle, link, open, rm, stat } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The socket's name in the folder. */
const LOCK_NAME = '.facecast-service';
/** Two services that start at the same instant see each other after so long. */
const SETTLE_MILLISECONDS = 200;
/** A service that lives accepts at once: the kernel does it. */
const ANSWER_MILLISECONDS = 2000;
/** Node has no flock(2). Where sockets or links cannot be made, as on some network file systems, nothing is locked. */
const NOT_POSSIBLE_HERE = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL', 'ENOSYS', 'EACCES'];

/**
 * Says that a folder is one service's: a Unix socket in it, on which the service listens. The kernel takes that away with the
 * process however it ends, and it is seen from other containers on the machine, where process ids mean nothing. From another machine,
 * over a network file system, it is not.
 */
export class FolderLock {
  readonly #path: string;
  readonly #server: Server;

  private constructor(path: string, server: Server) {
    this.#path = path;
    this.#server = server;
  }

  /**
   * @param folder there already, and writable
   * @returns undefined where the file system has no sockets, or no links
   * @throws Error when another service has the folder
   */
  static async take(folder: string): Promise<FolderLock | undefined> {
    const path = join(folder, LOCK_NAME);
    const own = `${path}-${randomBytes(4).toString('hex')}`;
    let server: Server | undefined;
    try {
      server = await listenAt(folder, own);
      const lock = new FolderLock(path, server);
      await lock.#claim(folder, own);
      return lock;
    } catch (error) {
      server?.close();
      if (NOT_POSSIBLE_HERE.includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
      throw error;
    } finally {
      await rm(own, { force: true });
    }
  }

  /** Gives the folder back. */
  async release(): Promise<void> {
    await rm(this.#path, { force: true });
    this.#server.close();
  }

  async #claim(folder: string, own: string): Promise<void> {
    // A link is made by one of two at most, and a socket that nobody listens on is one that a dead service has left.
    while (!(await linked(own, this.#path))) {
      if (await isHeld(folder, this.#path)) throw taken(folder);
      await rm(this.#path, { force: true });
    }
    // Whoever found the same dead one at the same time may have taken this one for it.
    await sleep(SETTLE_MILLISECONDS);
    const [ours, there] = await Promise.all([stat(own), stat(this.#path).catch(() => undefined)]);
    if (ours.ino !== there?.ino) throw taken(folder);
  }
}

function taken(folder: string): Error {
  return new Error(
    `HLS_DIR=${folder} is used by another service that runs. Stop that one, or give each service a folder of its own.`,
  );
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function listenAt(folder: string, path: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  await withShortPath(folder, path, async (short) => {
    server.listen(short);
    await once(server, 'listening');
  });
  // It is no reason for a program to go on.
  return server.unref();
}

async function isHeld(folder: string, path: string): Promise<boolean> {
  return withShortPath(folder, path, async (short) => {
    const socket = connect(short);
    try {
      await once(socket, 'connect', { signal: AbortSignal.timeout(ANSWER_MILLISECONDS) });
      return true;
    } catch (error) {
      // One that may not be asked, or does not answer, is somebody's.
      return !['ECONNREFUSED', 'ENOENT', 'ENOTSOCK'].includes((error as NodeJS.ErrnoException).code ?? '');
    } finally {
      socket.destroy();
    }
  });
}

/** A socket's path has room for 107 bytes (unix(7)); a folder's may be longer, and Linux knows it by another name too. */
async function withShortPath<T>(folder: string, path: string, use: (short: string) => Promise<T>): Promise<T> {
  if (Buffer.byteLength(path) < 100) return use(path);
  const handle: FileHandle = await open(folder, 'r');
  try {
    return await use(`/proc/self/fd/${handle.fd}${path.slice(folder.length)}`);
  } finally {
    await handle.close();
  }
}
