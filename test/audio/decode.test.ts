import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { type AudioHint, decodeAudioChunk } from '../../src/audio/decode.js';
import { decodeByFfmpeg, ffmpegArguments } from '../../src/audio/ffmpeg-decoder.js';
import { AppError } from '../../src/errors.js';
import { dataPath, describeWithData } from '../support/data.js';
import { headerlessPcm, type SampleCoding, tone, wavFile } from './wav-file.js';

const HINT: AudioHint = { sampleRate: 24_000 };

/** Encodes a WAV by FFmpeg to standard output, as containers can be that need no seeking. */
function encode(wav: Buffer, ...args: string[]): Buffer {
  return execFileSync('ffmpeg', ['-v', 'error', '-f', 'wav', '-i', 'pipe:0', ...args, 'pipe:1'], { input: wav });
}

/** The root mean square of a - b, where `a` starts `shift` samples late. */
function difference(a: Float32Array, b: Float32Array, shift = 0): number {
  const length = Math.min(a.length - shift, b.length);
  let power = 0;
  for (let i = 0; i < length; i++) power += (a[i + shift] - b[i]) ** 2;
  return Math.sqrt(power / length);
}

async function refusal(bytes: Buffer, hint: Partial<AudioHint> = {}): Promise<AppError> {
  const thrown = await decodeAudioChunk(bytes, { ...HINT, ...hint }).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(AppError);
  return thrown as AppError;
}

async function expectInvalid(bytes: Buffer, detail: RegExp, hint: Partial<AudioHint> = {}): Promise<void> {
  const error = await refusal(bytes, hint);
  expect([error.code, error.message]).toEqual(['invalid_audio', expect.stringMatching(detail)]);
  expect(error.message).toMatch(/^audio_chunk /);
  expect(error.message).not.toMatch(/ffmpeg|pipe:|demuxer/i);
}

describe('WAV', () => {
  const codings: [SampleCoding, number][] = [
    ['u8', 1 / 128],
    ['s16', 1 / 32768],
    ['s24', 2 ** -23],
    ['s32', 2 ** -24],
    ['f32', 0],
    ['f64', 2 ** -24],
  ];
  const source = tone(440, 22_050, 30_000);

  test.each(codings)('%s keeps every sample within %d', async (coding, tolerance) => {
    const { sampleRate, samples } = await decodeAudioChunk(wavFile(coding, 22_050, [source]), HINT);
    expect([sampleRate, samples.length]).toEqual([22_050, source.length]);
    const worst = samples.reduce((most, value, i) => Math.max(most, Math.abs(value - source[i])), 0);
    expect(worst).toBeLessThanOrEqual(tolerance);
  });

  test.each([
    ['pcm_alaw', 0.01],
    ['pcm_mulaw', 0.01],
    ['adpcm_ima_wav', 0.03],
  ])('%s is decoded', async (codec, tolerance) => {
    const file = encode(wavFile('s16', 8000, [tone(440, 8000, 12_000)]), '-c:a', codec, '-f', 'wav');
    const { sampleRate, samples } = await decodeAudioChunk(file, HINT);
    expect(sampleRate).toBe(8000);
    expect(samples.length).toBeGreaterThanOrEqual(12_000);
    expect(difference(samples, tone(440, 8000, 12_000))).toBeLessThan(tolerance);
  });

  test('WAVE_FORMAT_EXTENSIBLE is decoded by what it holds', async () => {
    const six = Array.from({ length: 6 }, (_, c) => tone(200 * (c + 1), 48_000, 9600, 0.1));
    for (const codec of ['pcm_s24le', 'pcm_f32le']) {
      const file = encode(wavFile('f32', 48_000, six), '-c:a', codec, '-f', 'wav');
      expect(file.readUInt16LE(20)).toBe(0xfffe);
      const { samples } = await decodeAudioChunk(file, HINT);
      const average = new Float32Array(9600).map((_, i) => six.reduce((sum, channel) => sum + channel[i], 0) / 6);
      expect(samples.length).toBe(9600);
      expect(difference(samples, average)).toBeLessThan(1e-6);
    }
  });

  test('channels are averaged', async () => {
    const left = tone(300, 24_000, 5000);
    const right = tone(500, 24_000, 5000, 0.3);
    const { samples } = await decodeAudioChunk(wavFile('s16', 24_000, [left, right]), HINT);
    const average = left.map((value, i) => (value + right[i]) / 2);
    expect(difference(samples, average)).toBeLessThan(1 / 32768);
  });

  test.each([0, 0xffffffff, 0x7ffff024])('a stream of unknown size (%d) is read to its end', async (size) => {
    const file = wavFile('s16', 24_000, [source]);
    file.writeUInt32LE(size === 0 ? 0 : 0xffffffff, 4);
    file.writeUInt32LE(size, 40);
    expect((await decodeAudioChunk(file, HINT)).samples.length).toBe(source.length);
  });

  test('chunks before and behind the samples are not sound, and no count in them is believed', async () => {
    const plain = wavFile('s16', 24_000, [source]);
    const cue = Buffer.alloc(12);
    cue.write('cue ', 0, 'latin1');
    cue.writeUInt32LE(4, 4);
    cue.writeUInt32LE(0xffffffff, 8);
    const list = Buffer.from('LIST\x05\0\0\0abcde\0', 'latin1');
    const file = Buffer.concat([plain.subarray(0, 36), cue, list, plain.subarray(36), list]);
    file.writeUInt32LE(file.length - 8, 4);
    expect((await decodeAudioChunk(file, HINT)).samples).toEqual((await decodeAudioChunk(plain, HINT)).samples);
  });

  test('the size of an RF64 comes from its ds64 chunk', async () => {
    const wav = wavFile('s16', 24_000, [source]);
    const file = encode(wav, '-rf64', 'always', '-f', 'wav');
    expect(file.toString('latin1', 0, 4)).toBe('RF64');
    expect((await decodeAudioChunk(file, HINT)).samples.length).toBe(source.length);
  });

  test('NaN and infinities become silence, excess is clipped', async () => {
    const odd = Float32Array.of(0.5, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3, -3, -0.25);
    const { samples } = await decodeAudioChunk(wavFile('f32', 24_000, [odd]), HINT);
    expect([...samples]).toEqual([0.5, 0, 0, 0, 1, -1, -0.25]);
  });
});

describe('headerless PCM', () => {
  const source = tone(440, 16_000, 8000);
  const pcm = headerlessPcm(source);

  test.each([
    [{ contentType: 'audio/L16' }, 24_000],
    [{ contentType: 'audio/l16', sampleRate: 16_000 }, 16_000],
    [{ fileName: 'chunk.pcm' }, 24_000],
    [{ fileName: 'chunk.RAW', contentType: 'application/octet-stream' }, 24_000],
  ])('%j is 16-bit little-endian', async (hint, sampleRate) => {
    const audio = await decodeAudioChunk(pcm, { ...HINT, ...hint });
    expect(audio.sampleRate).toBe(sampleRate);
    expect(difference(audio.samples, source)).toBeLessThan(1 / 32768);
  });

  test('samples that look like an MP3 are still samples; a WAV called .pcm is still a WAV', async () => {
    const looksLikeMp3 = Buffer.from([0xff, 0xfb, 0x90, 0x00]);
    expect((await decodeAudioChunk(looksLikeMp3, { ...HINT, fileName: 'a.pcm' })).samples.length).toBe(2);
    const wav = wavFile('s16', 16_000, [source]);
    expect((await decodeAudioChunk(wav, { ...HINT, fileName: 'a.pcm' })).samples.length).toBe(8000);
  });

  test('is refused where nothing says what it is, or what it says cannot be', async () => {
    await expectInvalid(pcm, /no format.*audio\/L16/, { contentType: 'application/octet-stream' });
    await expectInvalid(pcm.subarray(1), /odd number/, { fileName: 'a.pcm' });
    await expectInvalid(pcm, /400 Hz/, { contentType: 'audio/L16', sampleRate: 400 });
    await expectInvalid(Buffer.alloc(9_700_000), /too long/, { fileName: 'a.raw', sampleRate: 8000 });
  });
});

describe('formats decoded by FFmpeg', () => {
  // A sweep from 0 to 3 kHz: shifted by a few samples it would no longer fit.
  const source = new Float32Array(48_000).map((_, i) => 0.5 * Math.sin((Math.PI * 3000 * i * i) / 48_000 ** 2));
  const wav = wavFile('s16', 48_000, [source]);
  const mp4 = ['-c:a', 'aac', '-b:a', '128k', '-f', 'mp4', '-movflags'];

  // Where a file says how much its encoder put before the sound, that is left out; a bare MP3, ADTS and fragments do not.
  test.each<[string, string[], number]>([
    ['MP3', ['-b:a', '128k', '-write_xing', '0', '-f', 'mp3'], 1105],
    ['FLAC', ['-f', 'flac'], 0],
    ['Ogg/Vorbis', ['-c:a', 'libvorbis', '-q:a', '6', '-f', 'ogg'], 0],
    ['Ogg/Opus', ['-c:a', 'libopus', '-f', 'ogg'], 0],
    ['Ogg/FLAC', ['-c:a', 'flac', '-f', 'ogg'], 0],
    ['WebM/Opus', ['-c:a', 'libopus', '-f', 'webm'], 0],
    ['fragmented M4A', [...mp4, 'frag_keyframe+empty_moov'], 1024],
    ['AAC in ADTS', ['-c:a', 'aac', '-b:a', '128k', '-f', 'adts'], 1024],
  ])('%s', async (_, args, delay) => {
    const { sampleRate, samples } = await decodeAudioChunk(encode(wav, ...args), HINT);
    expect(sampleRate).toBe(48_000);
    expect(Math.abs(samples.length - delay - source.length)).toBeLessThanOrEqual(1152);
    expect(difference(samples, source, delay)).toBeLessThan(0.02);
  });

  test('stereo is averaged, not summed', async () => {
    const other = tone(440, 48_000, 48_000, 0.9);
    const loud = encode(wavFile('s16', 48_000, [other, other]), '-f', 'flac');
    expect(difference((await decodeAudioChunk(loud, HINT)).samples, other)).toBeLessThan(1 / 32768);
  });

  test.each([[['-f', 'webm']], [['-page_duration', '20000', '-f', 'ogg']]])(
    'a live stream cut in mid-frame is played as far as it goes (%j)',
    async (args) => {
      const stream = encode(wav, '-c:a', 'libopus', ...args);
      const { samples } = await decodeAudioChunk(stream.subarray(0, stream.length * 0.7), HINT);
      expect(samples.length).toBeGreaterThan(0.4 * 48_000);
      expect(samples.length).toBeLessThan(48_000);
    },
  );

  test('compressed silence of eleven minutes is refused', async () => {
    const bomb = execFileSync('ffmpeg', [
      ...['-v', 'error', '-f', 'lavfi', '-i', 'anullsrc=r=48000:cl=mono', '-t', '660', '-f', 'flac', 'pipe:1'],
    ]);
    expect(bomb.length).toBeLessThan(1_000_000);
    await expectInvalid(bomb, /too long/);
  });

  test('without FFmpeg the fault is ours, not the caller’s', async () => {
    await expect(decodeByFfmpeg(Buffer.from('OggS'), 'ogg', '/nowhere/ffmpeg')).rejects.toMatchObject({
      code: 'internal',
    });
  });

  test('FFmpeg is confined: one named demuxer, no protocol but its own pipe', () => {
    for (const container of ['mp3', 'flac', 'ogg', 'matroska', 'aac', 'wav'] as const) {
      const args = ffmpegArguments(container).join(' ');
      expect(args).toContain(`-protocol_whitelist pipe -codec_whitelist`);
      expect(args).toContain(`-f ${container} -i pipe:0`);
    }
    expect(ffmpegArguments('mov').join(' ')).toContain('-protocol_whitelist cache,pipe');
  });
});

describe('what is no audio is refused', () => {
  const wav = wavFile('s16', 24_000, [tone(440, 24_000, 2400)]);
  const patched = (offset: number, value: number) => {
    const file = Buffer.from(wav);
    file.writeUInt32LE(value, offset);
    return file;
  };
  const playlist = '#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n';

  test.each<[string, Buffer, RegExp]>([
    ['nothing', Buffer.alloc(0), /is empty/],
    ['a WAV of no samples', wavFile('s16', 24_000, [new Float32Array(0)]), /is empty/],
    ['a WAV cut in its samples', wav.subarray(0, 1000), /truncated WAV.*4800 bytes.*956/],
    ['a WAV cut behind its header', wav.subarray(0, 44), /truncated WAV/],
    [
      'a stream of less than one sample',
      Buffer.concat([patched(40, 0xffffffff).subarray(0, 44), Buffer.of(1)]),
      /is empty/,
    ],
    ['a WAV cut in its header', wav.subarray(0, 30), /ends before its samples/],
    ['a WAV of 0 Hz', patched(24, 0), /0 Hz; allowed are 8000 to 192000/],
    ['a WAV of 4 GHz', patched(24, 4_000_000_000), /4000000000 Hz/],
    ['a WAV of no channels', patched(20, 1), /0 channels/],
    ['a WAV of format 85', patched(20, 85 + (1 << 16)), /format 85/],
    ['a WAV with a block of no bytes', patched(32, 16 << 16), /0 bytes a sample/],
    ['an M3U8', Buffer.from(playlist), /no format that is accepted/],
    ['a concat script', Buffer.from("ffconcat version 1.0\nfile '/etc/passwd'\n"), /no format/],
    ['an SDP', Buffer.from('v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n'), /no format/],
    ['text', Buffer.from('This is no audio.'), /no format/],
    [
      'an ID3 tag before a playlist',
      Buffer.from(`ID3\x04\0\0\0\0\0\0${playlist}`, 'latin1'),
      /no audio that can be decoded/,
    ],
    ['a playlist called Ogg', Buffer.from(`OggS${playlist}`), /no audio that can be decoded/],
    ['a playlist called M4A', Buffer.from(`\0\0\0\x10ftypM4A \0\0\0\0${playlist}`, 'latin1'), /no audio that can be/],
  ])('%s', (_, bytes, detail) => expectInvalid(bytes, detail));

  test.each([
    ['audio.m3u8', 'application/vnd.apple.mpegurl'],
    ['audio.mp3', 'audio/mpeg'],
    ['a.wav', 'audio/wav'],
  ])('a playlist that says it is %s', (fileName, contentType) =>
    expectInvalid(Buffer.from(playlist), /no format/, { fileName, contentType }),
  );

  test('a playlist behind an ID3 tag, which FFmpeg would guess to be HLS, fetches nothing', async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const remote = `#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:${port}/a.ts\n#EXT-X-ENDLIST\n`;
    const disguises = [
      'ID3\x04\0\0\0\0\0\0',
      'OggS',
      'fLaC',
      '\x1a\x45\xdf\xa3',
      '\0\0\0\x08ftyp',
      '\xff\xfb\x90\0',
      '',
    ];
    for (const disguise of disguises) {
      await expectInvalid(Buffer.from(disguise + remote, 'latin1'), /no audio that can be decoded|no format/);
    }
    await new Promise((resolve) => server.close(resolve));
    expect(connections).toBe(0);
  });

  test('a picture or a film without sound', async () => {
    const film = execFileSync('ffmpeg', [
      ...['-v', 'error', '-f', 'lavfi', '-i', 'testsrc=d=0.2:s=64x64', '-c:v', 'libx264', '-f', 'matroska', 'pipe:1'],
    ]);
    await expectInvalid(film, /no audio that can be decoded/);
  });
});

describeWithData('real recordings', () => {
  test.each([['speech/audio_1.wav', 16_000, 159_382]])('%s', async (name, sampleRate, length) => {
    const audio = await decodeAudioChunk(readFileSync(dataPath(name)), HINT);
    expect([audio.sampleRate, audio.samples.length]).toEqual([sampleRate, length]);
  });

  test('an MP4 whose index is at its end gives the sound that FFmpeg reads from the file', async () => {
    const path = dataPath('talking/driving_1.mp4');
    const file = readFileSync(path);
    expect(file.lastIndexOf('moov')).toBeGreaterThan(file.indexOf('mdat'));
    const { samples } = await decodeAudioChunk(file, HINT);
    const bytes = execFileSync('ffmpeg', ['-v', 'error', '-i', path, '-vn', '-ac', '1', '-f', 'f32le', 'pipe:1'], {
      maxBuffer: 1e8,
    });
    expect(samples.length).toBe(bytes.length / 4);
  });
});
