import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { AppError } from '../../src/errors.js';
import { errorHandler } from '../../src/http/error-handler.js';
import { sessionRoutes } from '../../src/http/sessions.js';
import { createLogger } from '../../src/log.js';
import type { SessionRegistry } from '../../src/session/session-registry.js';

// What a newcomer gets wrong, and is told.

let fed: object[];
let refusal: AppError | undefined;
const session = {
  queuedSeconds: 299.98765,
  lagSeconds: 1.5,
  feed: async (chunk: object) => {
    if (refusal) throw refusal;
    fed.push(chunk);
    return 'accepted';
  },
};
const registry = { draining: false, get: () => session } as unknown as SessionRegistry;
let server: Server;
let url: string;
let lines = '';

beforeAll(async () => {
  const app = express();
  app.use((_request, response, next) => {
    response.locals.requestId = 'a-request';
    next();
  });
  app.use(sessionRoutes(() => registry));
  app.use(
    errorHandler(
      createLogger('info', {
        write: (line) => {
          lines += line;
        },
      }),
    ),
  );
  server = createServer(app).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  fed = [];
});

async function send(path: string, body: BodyInit | undefined, type?: string): Promise<string> {
  const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type };
  const response = await fetch(url + path, { method: 'POST', headers, ...(body !== undefined && { body }) });
  const { code, detail, status } = (await response.json()) as Record<string, string>;
  return `${status} ${code} ${detail}`;
}

function form(fields: Record<string, string | Blob>): FormData {
  const made = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') made.set(name, value);
    else made.set(name, value, 'a-file');
  }
  return made;
}

const needed = 'a portrait is required, as PNG, JPEG or WebP of at most 20 MB';
const plain = 'application/x-www-form-urlencoded';

describe('init', () => {
  it.each<[string, string, string]>([
    ['/init', 'application/json', 'application/json'],
    ['/feed', 'application/json; charset=utf-8', 'application/json'],
    ['/interrupt', 'text/plain', 'text/plain'],
    ['/init', 'image/jpeg', 'image/jpeg'],
    ['/init', '<script>', 'a body without it'],
  ])('%s with a body of %s is told what came, and what to send', async (path, type, told) => {
    const example = { '/init': 'image=@face.jpg', '/feed': 'audio_chunk=@speech.wav', '/interrupt': 'session_id=…' }[
      path
    ];
    expect(await send(path, '{"image":"…"}', type)).toBe(
      `400 invalid_parameter Content-Type: ${told} came, but this address takes a form, multipart/form-data; with curl: -F ${example}`,
    );
  });

  it('with a multipart form whose boundary is not told', async () => {
    expect(await send('/init', 'x', 'multipart/form-data')).toBe(
      '400 invalid_parameter Content-Type: multipart/form-data needs its boundary; leave the header to the program that makes the form.',
    );
  });

  it('with nothing at all', async () => {
    expect(await send('/init', undefined)).toBe(`400 missing_file image: ${needed}; with curl: -F image=@face.jpg`);
  });

  it('with the name of a picture in place of the picture, which does not go into the log', async () => {
    lines = '';
    expect(await send('/init', form({ image: 'the-name-of-my.jpg' }))).toBe(
      `400 missing_file image: ${needed}; it came as text, not as a file. With curl: -F image=@face.jpg`,
    );
    expect(await send('/init', 'image=the-name-of-my.jpg', plain)).toBe(
      `400 missing_file image: ${needed}, and ${plain} holds no files; send multipart/form-data; with curl: -F image=@face.jpg`,
    );
    expect(lines).toContain('missing_file');
    expect(lines).not.toContain('the-name-of-my');
  });

  it('with an empty picture', async () => {
    expect(await send('/init', form({ image: new Blob([]) }))).toBe('400 invalid_image image: the file is empty.');
  });
});

it('a socket’s address asked for as a page is told to be a socket’s', async () => {
  const response = await fetch(`${url}/stream/abcdefgh`);
  expect(await response.json()).toMatchObject({
    status: 404,
    code: 'not_found',
    detail: expect.stringMatching(/WebSocket.*wss:/),
  });
});

describe('feed', () => {
  const of = (fields: Record<string, string | Blob>) => form({ session_id: 'abcdefgh', ...fields });
  const asText =
    '400 missing_file audio_chunk: speech is required, unless is_final_chunk is true; it came as text, not as a file. With curl: -F audio_chunk=@speech.wav';

  it('with the name of a recording is refused, also at the end: its speech would be missing', async () => {
    expect(await send('/feed', of({ audio_chunk: 'a.wav' }))).toBe(asText);
    expect(await send('/feed', of({ audio_chunk: 'a.wav', is_final_chunk: 'true' }))).toBe(asText);
    expect(fed).toEqual([]);
  });

  it.each([
    ['session_lagging', { queued_seconds: 299.988, lag_seconds: 1.5 }],
    ['session_closed', {}],
  ] as const)('that is refused with %s is told what waits, where that is why', async (code, queue) => {
    refusal = new AppError(code, 'No.', { retryAfterSeconds: 7 });
    const body = of({ audio_chunk: new Blob(['abc']) });
    const response = await fetch(`${url}/feed`, { method: 'POST', body });
    refusal = undefined;
    const { type, title, status, ...rest } = await response.json();
    expect(rest).toEqual({ code, detail: 'No.', request_id: 'a-request', ...queue });
    expect(response.headers.get('retry-after')).toBe('7');
  });

  it('may end the talk with no speech, as a form of either kind', async () => {
    await send('/feed', of({ is_final_chunk: 'true', audio_chunk: 'None' }));
    await send('/feed', 'session_id=abcdefgh&is_final_chunk=true', plain);
    expect(fed).toEqual(Array(2).fill({ index: undefined, final: true, audio: undefined }));
  });
});
