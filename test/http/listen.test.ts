import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { listen } from '../../src/http/listen.js';

it('listens', async () => {
  const server = createServer();
  await listen(server, 0, '127.0.0.1');
  expect((server.address() as AddressInfo).port).toBeGreaterThan(0);
  server.close();
});

it('names the port that is taken', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  await expect(listen(createServer(), port, '127.0.0.1')).rejects.toThrow(
    `PORT=${port}: another program listens there already. Stop it, or choose another port, 0 for any that is free.`,
  );
  other.close();
});

it('names the address that this machine does not have', async () => {
  // TEST-NET-1 of RFC 5737 is nobody's.
  await expect(listen(createServer(), 0, '192.0.2.1')).rejects.toThrow(
    /^HOST=192\.0\.2\.1: this machine does not have/,
  );
});

it.each([
  ['EACCES', /^PORT=80: this user may not listen there; ports from 1024 on/],
  ['ENOTFOUND', /^HOST=a\.example: there is no such address/],
  ['EMFILE', /^PORT=80, HOST=a\.example: cannot listen \(listen EMFILE\)/],
])('%s', async (code, message) => {
  const server = createServer();
  server.listen = ((): Server => {
    queueMicrotask(() => server.emit('error', Object.assign(new Error(`listen ${code}`), { code })));
    return server;
  }) as typeof server.listen;
  await expect(listen(server, 80, 'a.example')).rejects.toThrow(message);
});
