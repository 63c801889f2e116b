// Speech for measurements: the sample recording, with clicks in it.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withClicks } from './clicks.mjs';

const execute = promisify(execFile);

/** The repository's sample recording, mono at `sampleRate`, -1..1. */
export async function sampleSpeech(root, sampleRate) {
  const path = join(root, 'clients/web/samples/speech.wav');
  const options = { encoding: 'buffer', maxBuffer: 1 << 28 };
  const args = ['-nostdin', '-v', 'error', '-i', path, '-ac', '1', '-ar', String(sampleRate), '-f', 'f32le', '-'];
  const { stdout } = await execute('ffmpeg', args, options);
  return new Float32Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + stdout.length));
}

/** An utterance of so many seconds, with clicks at the given ones. */
export function utterance(speech, sampleRate, seconds, clicks) {
  const samples = Float32Array.from({ length: Math.round(seconds * sampleRate) }, (_, i) => speech[i % speech.length]);
  return withClicks(samples, sampleRate, clicks);
}
