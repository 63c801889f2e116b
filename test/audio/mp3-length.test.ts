import { execFileSync } from 'node:child_process';
import { decodeAudioChunk } from '../../src/audio/decode.js';
import { mp3Samples } from '../../src/audio/mp3-length.js';

/** A tone of exactly so many samples as an MP3 with its encoder's tag. */
function mp3(samples: number, rate: number, channels: number): Buffer {
  const source = `sine=frequency=440:sample_rate=${rate},atrim=end_sample=${samples},aformat=channel_layouts=${channels === 1 ? 'mono' : 'stereo'}`;
  const options = ['-nostdin', '-v', 'error', '-f', 'lavfi', '-i', source, '-c:a', 'libmp3lame', '-b:a', '64k'];
  // The tag is written when the file is closed, so a pipe would be left without it.
  return execFileSync('sh', [
    '-c',
    'f=$(mktemp) && ffmpeg "$@" -y -f mp3 "$f" && cat "$f" && rm "$f"',
    'sh',
    ...options,
  ]);
}

it.each([
  [32000, 16000, 1],
  [44100, 44100, 2],
  [48001, 48000, 1],
  [12345, 24000, 2],
])('an MP3 of %d samples at %d Hz, %d channels, gives as many', async (samples, rate, channels) => {
  const file = mp3(samples, rate, channels);
  expect(mp3Samples(file)).toBe(samples);
  const audio = await decodeAudioChunk(file, { sampleRate: 8000 });
  expect({ rate: audio.sampleRate, samples: audio.samples.length }).toEqual({ rate, samples });
});

it('says nothing of what has no such tag, or ends within it', () => {
  const file = mp3(32000, 16000, 1);
  expect(mp3Samples(Buffer.from('no MP3'))).toBeUndefined();
  for (let length = 0; length < 200; length++) {
    const known = mp3Samples(file.subarray(0, length));
    expect([undefined, 32000]).toContain(known);
  }
});
