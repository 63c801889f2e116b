import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { createApp } from '../../src/http/app.js';
import { createLogger } from '../../src/log.js';

const root = resolve(__dirname, '../..');
const web = resolve(root, 'clients/web');
const html = readFileSync(resolve(web, 'index.html'), 'utf8');
const files = readdirSync(web, { recursive: true, encoding: 'utf8' });
const scripts = files.filter((name) => name.endsWith('.js'));
const source = (name: string) => readFileSync(resolve(web, name), 'utf8');

let server: Server;
let url: string;

beforeAll(async () => {
  const app = createApp({
    service: () => {
      throw new Error('not asked for');
    }, // the page is there before the model is
    webDirectory: web,
    clientDirectory: resolve(root, 'clients/typescript/dist'),
    playerDirectory: resolve(root, 'node_modules/hls.js/dist'),
    corsOrigin: '*',
    logger: createLogger('silent'),
  });
  server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

describe('the page', () => {
  it.each([
    ['', 'text/html'],
    ...files.filter((name) => name.endsWith('.css')).map((name) => [name, 'text/css']),
    ['favicon.svg', 'image/svg+xml'],
    ['client/facecast-client.js', 'text/javascript'],
    ['vendor/hls.js/hls.min.mjs', 'text/javascript'],
    ['vendor/hls.js/hls.min.js', 'text/javascript'],
    ['vendor/hls.js/hls.worker.js', 'text/javascript'],
    ['samples/portrait.jpg', 'image/jpeg'],
    ['samples/speech.wav', 'audio/'],
    ...scripts.map((name) => [name, 'text/javascript']),
  ])('is served with /%s', async (path, type) => {
    const response = await fetch(`${url}/${path}`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain(type);
    expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(100);
  });

  it('finds every module that it imports', async () => {
    const imports = JSON.parse(/<script type="importmap">(.*?)<\/script>/s.exec(html)![1]).imports;
    for (const name of scripts) {
      const specifiers = [...source(name).matchAll(/^import .*? from '(.+?)';$|import\('(.+?)'\)/gms)];
      for (const [, fixed, dynamic] of specifiers) {
        const specifier = fixed ?? dynamic;
        const path = imports[specifier] ?? specifier;
        expect(path).toMatch(/^\.{1,2}\//); // the page may lie behind a prefix
        const from = new URL(specifier in imports ? '' : name, `${url}/`);
        expect((await fetch(new URL(path, from))).status).toBe(200);
      }
    }
  });

  it('has every element that its modules look for, once', () => {
    const ids = [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const wanted = scripts.flatMap((name) =>
      [...source(name).matchAll(/(?<![.\w])(?:element|find|show)\('#?([\w-]+)|getElementById\('([\w-]+)/g)].map(
        ([, id, other]) => id ?? other,
      ),
    );
    expect(wanted.length).toBeGreaterThan(20);
    for (const id of wanted) expect(ids).toContain(id);
    for (const [, id] of html.matchAll(/data-copy="([^"]+)"/g)) expect(ids).toContain(id);
  });

  it('loads nothing from anywhere else', () => {
    for (const text of [html, ...files.filter((name) => /\.(?:css|js)$/.test(name)).map(source)]) {
      expect(text).not.toMatch(/(?:src|href|url|from|import)\W{1,3}(?:https?:)?\/\//);
    }
  });
});
