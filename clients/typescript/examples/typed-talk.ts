import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import { FacecastClient } from '../facecast-client.js';
import { VoiceAgent } from './voice-agent.js';

// Lines that are typed are spoken; a line that is typed meanwhile interrupts, as a user who speaks would.
//
//     node clients/typescript/dist/examples/typed-talk.js --image face.jpg
//
// It needs espeak-ng, which stands in for your synthesiser, and FFmpeg. Where `sentences` is, put your model.

const RATE = 24_000;

const { values } = parseArgs({
  options: {
    image: { type: 'string', default: 'clients/web/samples/portrait.jpg' },
    server: { type: 'string', default: 'http://localhost:9999' },
    voice: { type: 'string', default: 'en' },
  },
});

/** What a language model would answer, sentence by sentence as they come. */
async function* sentences(text: string): AsyncGenerator<string> {
  yield* text.split(/(?<=[.!?])\s+/);
}

/** The sound of sentences as it is made. */
async function* synthesise(text: AsyncIterable<string>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const sentence of text) {
    const voice = spawn('espeak-ng', ['-v', values.voice, '--stdin', '--stdout'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const pcm = spawn(
      'ffmpeg',
      ['-v', 'error', '-f', 'wav', '-i', 'pipe:0', '-ac', '1', '-ar', String(RATE), '-f', 's16le', 'pipe:1'],
      { stdio: ['pipe', 'pipe', 'inherit'], signal, killSignal: 'SIGKILL' },
    );
    voice.stdout.pipe(pcm.stdin);
    for (const stopped of [voice.stdin, voice.stdout, pcm.stdin, voice, pcm]) stopped.on('error', () => {});
    voice.stdin.end(sentence);
    yield* pcm.stdout;
  }
}

const client = new FacecastClient(values.server, { WebSocket });
const session = await client.init(await readFile(values.image), { live: true, audioSampleRate: RATE });
const agent = new VoiceAgent(await session.openSpeech());
console.log(`Watch ${session.multivariantUrl}`);
console.log('Type something to be said. Ctrl+D ends.');

let speaking = 0;
for await (const line of createInterface({ input: process.stdin })) {
  if (speaking > 0 || (await session.status()).queued_seconds > 0) {
    const { droppedSeconds } = await agent.userSpeaks();
    console.log(`(interrupted, ${droppedSeconds.toFixed(1)} s not said)`);
  }
  speaking++;
  agent
    .say((signal) => synthesise(sentences(line), signal))
    .catch((error) => console.error(error.message))
    .finally(() => speaking--);
}
await session.cleanup();
