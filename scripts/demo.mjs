// One command from a fresh clone to a talking photograph: sets up, starts the service, speaks the sample, opens the
// page, and stays until Ctrl+C.
import { spawn, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = resolve(import.meta.dirname, '..');

if (process.argv.includes('--help')) {
  console.log(`npm run demo

Installs what is missing, builds, starts the service on PORT (9999), lets the sample portrait speak, and opens the
page in a browser where there is one. Ctrl+C ends it. The environment variables of the README work here too, but for TLS_CERT.`);
  process.exit(0);
}

if (process.argv.length > 2) stop(`demo: there is no option ${process.argv[2]}. See npm run demo -- --help`);

const setup = spawnSync(process.execPath, [join(root, 'scripts/setup.mjs')], { cwd: root, stdio: 'inherit' });
if (setup.status !== 0) process.exit(setup.status ?? 1);

const port = process.env.PORT || '9999';
const server = `http://localhost:${port}`;
if (process.env.TLS_CERT) stop('TLS_CERT: the demo speaks plain HTTP. Leave it and TLS_KEY out, or use npm start.');
if (!(Number(port) > 0)) stop(`PORT=${port}: the demo needs a fixed port.`);
if (await answers('/health/live'))
  stop(`Something answers at ${server} already. Stop it, or choose another port: PORT=9998 npm run demo`);
const service = spawn(process.execPath, ['dist/main.js'], {
  cwd: root,
  stdio: ['ignore', 'ignore', 'inherit'],
  env: { ...process.env, PORT: port },
});
let stopping = false;
service.on('exit', (code) => process.exit(stopping ? 0 : (code ?? 1)));
// However this program ends: nobody would know of a service that goes on.
process.on('exit', () => service.kill('SIGTERM'));
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    stopping = true;
    service.kill('SIGTERM');
  });
}

console.log(`\nStarting the service on ${server} …`);
while (!(await answers('/health'))) await sleep(200);

const { FacecastClient } = await import(join(root, 'clients/typescript/dist/facecast-client.js'));
const samples = join(root, 'clients/web/samples');
// The page asks for the key by itself.
const [apiKey] = (process.env.API_KEYS || undefined)?.split(',').map((key) => key.trim()) ?? [];
const client = new FacecastClient(server, apiKey ? { apiKey } : {});
const session = await client.init(new Blob([await readFile(join(samples, 'portrait.jpg'))]));
const page = `${server}/?session=${session.id}`;
console.log(`The sample portrait speaks. Watch it at\n\n    ${page}\n`);
openBrowser(page);
const speech = new Blob([await readFile(join(samples, 'speech.wav'))], { type: 'audio/wav' });
await session.stream(speech, { pace: 'full' });
const status = await session.waitUntilComplete();
console.log(`${status.total_frames_generated} frames rendered. Choose your own portrait and recording on the page.`);
console.log('Ctrl+C ends the service.');

async function answers(path) {
  try {
    return (await fetch(server + path)).ok;
  } catch {
    return false;
  }
}

function stop(message) {
  console.error(message);
  process.exit(1);
}

/** Only where there is a desktop to open it on; a server has the printed address. */
function openBrowser(url) {
  const command = {
    darwin: 'open',
    linux: process.env.DISPLAY || process.env.WAYLAND_DISPLAY ? 'xdg-open' : undefined,
  }[process.platform];
  if (!command) return;
  spawn(command, [url], { stdio: 'ignore', detached: true })
    .on('error', () => {})
    .unref();
}
