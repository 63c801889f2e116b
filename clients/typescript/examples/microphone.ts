import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import { FacecastClient, FacecastError } from '../facecast-client.js';

// A microphone that a portrait speaks with.
//
//     node clients/typescript/dist/examples/microphone.js --image face.jpg
//     node clients/typescript/dist/examples/microphone.js -- ffmpeg -v error -f pulse -i default -ac 1 -ar 24000 -f s16le -
//     some-program | node clients/typescript/dist/examples/microphone.js --stdin
//
// The sound is 16-bit little-endian mono PCM at 24 kHz, from a program (arecord unless another is given) or standard input.

const RATE = 24_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    image: { type: 'string', default: 'clients/web/samples/portrait.jpg' },
    server: { type: 'string', default: 'http://localhost:9999' },
    stdin: { type: 'boolean', default: false },
  },
});

function microphone(): AsyncIterable<Buffer> {
  if (values.stdin) return process.stdin;
  const arecord = [
    'arecord',
    '-q',
    '-t',
    'raw',
    '-f',
    'S16_LE',
    '-c',
    '1',
    '-r',
    String(RATE),
    '--buffer-time',
    '40000',
  ];
  const [program, ...options] = positionals.length > 0 ? positionals : arecord;
  const child = spawn(program, options, { stdio: ['ignore', 'pipe', 'inherit'] });
  child.on('error', (error) => child.stdout.destroy(error));
  return child.stdout;
}

const client = new FacecastClient(values.server, { WebSocket });
const session = await client.init(await readFile(values.image), { live: true, audioSampleRate: RATE });
console.log(`Watch ${session.multivariantUrl}`);
const stopping = new AbortController();
process.once('SIGINT', () => stopping.abort());
try {
  const speech = await session.openSpeech({
    signal: stopping.signal,
    onStatus: ({ queuedSeconds, paused }) =>
      process.stderr.write(`\r${queuedSeconds.toFixed(1)} s queued${paused ? ', waiting' : ''}   `),
  });
  for await (const sound of microphone()) await speech.send(sound);
  // Standard input has an end.
  await speech.finish();
} catch (error) {
  if (!stopping.signal.aborted)
    console.error(error instanceof FacecastError ? `${error.detail} (${error.code})` : error);
} finally {
  await session.cleanup();
}
process.exit();
