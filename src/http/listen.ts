import type { Server } from 'node:net';

/**
 * Has a server listen.
 * @throws Error that names PORT or HOST, which of the two does not fit and what would
 */
export async function listen(server: Server, port: number, host: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explain(error, port, host)));
    server.listen(port, host, resolve);
  });
}

function explain(error: NodeJS.ErrnoException, port: number, host: string): Error {
  const say = EXPLANATIONS[error.code ?? ''] ?? (() => `PORT=${port}, HOST=${host}: cannot listen (${error.message}).`);
  return new Error(say(port, host), { cause: error });
}

const noAddress = (_port: number, host: string) =>
  `HOST=${host}: there is no such address; 0.0.0.0 is every address of this machine, 127.0.0.1 only itself.`;

const EXPLANATIONS: Readonly<Record<string, (port: number, host: string) => string>> = {
  EADDRINUSE: (port) =>
    `PORT=${port}: another program listens there already. Stop it, or choose another port, 0 for any that is free.`,
  EACCES: (port) => `PORT=${port}: this user may not listen there; ports from 1024 on are open to every user.`,
  EADDRNOTAVAIL: (_port, host) =>
    `HOST=${host}: this machine does not have that address; 0.0.0.0 is every address that it has.`,
  ENOTFOUND: noAddress,
  EAI_AGAIN: noAddress,
};
