import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { untilGone } from '../../src/http/client-gone.js';
import { UploadMemory } from '../../src/http/upload-memory.js';
import { uploadReceivers } from '../../src/http/uploads.js';
import { RawClient, uploadHead } from '../support/raw-client.js';

const memory = new UploadMemory(1_000_000);
let server: Server;
let client: RawClient;
/** What becomes of the work that the form is for. */
let work: { finish(): void; fail(reason: Error): void };
let atWork: Promise<void>;
let gone: AbortSignal;

beforeEach(async () => {
  const app = express();
  const begun = new Promise<void>((resolve) => {
    app.post(
      '/*any',
      uploadReceivers({ memory }).audio((_request, response) => {
        gone = untilGone(response);
        resolve();
        return new Promise<void>((finish, fail) => {
          work = { finish, fail };
        });
      }),
    );
  });
  atWork = begun;
  server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  client = new RawClient(`http://127.0.0.1:${port}`, uploadHead('feed', 'abcdefgh', 1000));
  client.socket.write(Buffer.alloc(1000));
});

afterEach(() => {
  client.leave();
  server.close();
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

it.each(['finished', 'failed'])('counts what is worked with until that has %s, though the client left', async (end) => {
  client.socket.write('\r\n--x--\r\n');
  await atWork;
  client.leave();
  if (!gone.aborted) await once(gone, 'abort');
  await turn();
  expect(memory.bytes).toBe(1000);
  if (end === 'finished') work.finish();
  else work.fail(new Error('nobody is there'));
  await turn();
  expect(memory.bytes).toBe(0);
});

it('counts what does not become whole until the client leaves', async () => {
  while (memory.bytes < 1000) await turn();
  client.leave();
  while (memory.bytes > 0) await turn();
});
