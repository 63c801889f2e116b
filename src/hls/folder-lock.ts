import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

/** What the names of services' sockets begin with. */
const SERVICE = '.facecast-service';
/** And those of sockets on which nobody may listen yet. */
const UNBORN = '.facecast-unborn';
/** What a service says to whoever asks. */
const STARTING = 'starting';
const HOLDING = 'holding';
const LOOK_MILLISECONDS = 20;
/** A service that lives answers at once; one that is stopped, or very busy, does not. */
const ANSWER_MILLISECONDS = 10_000;
/** Node has no flock(2). Where sockets cannot be made, as on some network file systems, nothing is locked. */
const NOT_POSSIBLE_HERE = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL', 'ENOSYS', 'EACCES'];

/**
 * Says that a folder is one service's: a Unix socket in it, on which the service listens. The kernel ends that with the process however it
 * ends, and it is heard from other containers on the machine, where process ids mean nothing. From another machine, over a network file
 * system, it is not.
 *
 * Every service has a name of its own, listens, and only then asks all others that are there. Of two, the one that listened later hears the
 * other, whatever either of them is held up by. It gives way to one that has the folder, and to one that starts too and has the lesser
 * name; for one with a greater name it waits until that has given way, or has it. A name is seen only when somebody listens there, and never
 * comes again: a socket on which nobody listens is dead for good, and may be removed at any time.
 */
export class FolderLock {
  readonly #folder: string;
  readonly #name: string;
  readonly #server: Server;
  #says = STARTING;

  private constructor(folder: string, id: string) {
    this.#folder = folder;
    this.#name = `${SERVICE}-${id}`;
    this.#server = createServer((socket) => {
      // Whoever asks may leave before it hears.
      socket.on('error', () => undefined);
      socket.end(this.#says);
    });
    // It is no reason for a program to go on.
    this.#server.unref();
  }

  /**
   * @param folder there already, and writable
   * @returns undefined where the file system has no sockets
   * @throws Error when another service has the folder, or may have it
   */
  static async take(folder: string): Promise<FolderLock | undefined> {
    for (;;) {
      const id = randomBytes(8).toString('hex');
      const lock = new FolderLock(folder, id);
      try {
        await lock.#listen(`${UNBORN}-${id}`);
        await lock.#claim();
        return lock;
      } catch (error) {
        await lock.release();
        const { code = '' } = error as NodeJS.ErrnoException;
        if (NOT_POSSIBLE_HERE.includes(code)) return undefined;
        // Another start has taken the socket for a dead one, before this one listened.
        if (code !== 'ENOENT') throw error;
      }
    }
  }

  /** Gives the folder back. */
  async release(): Promise<void> {
    await rm(join(this.#folder, this.#name), { force: true });
    this.#server.close();
  }

  async #listen(unborn: string): Promise<void> {
    try {
      await withShortPath(this.#folder, unborn, async (path) => {
        this.#server.listen(path);
        await once(this.#server, 'listening');
      });
      // A service of another user may ask too.
      await chmod(join(this.#folder, unborn), 0o666);
      await rename(join(this.#folder, unborn), join(this.#folder, this.#name));
    } finally {
      await rm(join(this.#folder, unborn), { force: true });
    }
  }

  async #claim(): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      // Who is there will ask this one.
      if (name.startsWith(UNBORN)) await this.#ask(name).catch(() => undefined);
      else if (name.startsWith(SERVICE) && name !== this.#name) await this.#untilBehind(name);
    }
    this.#says = HOLDING;
  }

  /** @throws Error when another service comes first */
  async #untilBehind(name: string): Promise<void> {
    for (let silent = 0; ; ) {
      const said = await this.#ask(name);
      if (said === undefined) return;
      // Once may be one that was just ending.
      if (said === '') silent++;
      if (silent > 1 || said === HOLDING || (said === STARTING && name < this.#name)) throw taken(this.#folder, name);
      await sleep(LOOK_MILLISECONDS);
    }
  }

  /**
   * Removes a socket on which nobody listens.
   * @returns what is said there, `''` by a service of an earlier version; undefined: nobody is there
   * @throws Error when it may not be asked
   */
  async #ask(name: string): Promise<string | undefined> {
    try {
      return await withShortPath(this.#folder, name, ask);
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      if (!['ECONNREFUSED', 'ENOENT', 'ENOTSOCK'].includes(code)) throw unheard(this.#folder, name, code);
      // Where it is not ours to remove it does no harm.
      await rm(join(this.#folder, name), { force: true }).catch(() => undefined);
      return undefined;
    }
  }
}

async function ask(path: string): Promise<string> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    // One that does not answer is somebody's.
    const silence = sleep(ANSWER_MILLISECONDS, HOLDING, { ref: false });
    return await Promise.race([text(socket).catch(() => ''), silence]);
  } finally {
    socket.destroy();
  }
}

function taken(folder: string, name: string): Error {
  return new Error(
    `HLS_DIR=${folder} is used by another service that runs: it listens on ${name} there. Stop that one, or give each service a folder of its own.`,
  );
}

function unheard(folder: string, name: string, code: string): Error {
  return new Error(
    `HLS_DIR=${folder} may be used by another service: ${name} in it cannot be asked (${code}), perhaps because it is another user's. Where no service runs, remove that file; else give each a folder of its own.`,
  );
}

/** A socket's path has room for 107 bytes (unix(7)); a folder's may be longer, and Linux knows it by another name too. */
async function withShortPath<T>(folder: string, name: string, use: (path: string) => Promise<T>): Promise<T> {
  const path = join(folder, name);
  if (Buffer.byteLength(path) < 100) return use(path);
  const handle: FileHandle = await open(folder, 'r');
  try {
    return await use(`/proc/self/fd/${handle.fd}/${name}`);
  } finally {
    await handle.close();
  }
}
