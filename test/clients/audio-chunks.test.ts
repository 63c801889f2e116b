import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { WaveFile } from 'wavefile';
import { cutRecording } from '../../clients/typescript/audio-chunks.js';

const speech = readFileSync(resolve(__dirname, '../../clients/web/samples/speech.wav'));

/** A WAV with a ramp in it, as another library writes it. */
function ramp(samples: number, { channels = 1, rate = 16000, depth = '16' } = {}): Buffer<ArrayBuffer> {
  const wav = new WaveFile();
  const values = Array.from(
    { length: samples * channels },
    (_, index) => (index % 2000) / (depth === '32f' ? 2000 : 1),
  );
  const byChannel = Array.from({ length: channels }, (_, channel) => values.filter((_, i) => i % channels === channel));
  wav.fromScratch(channels, rate, depth, channels === 1 ? values : byChannel);
  return Buffer.from(wav.toBuffer());
}

function dataOf(wav: Uint8Array): Buffer {
  const parsed = new WaveFile(wav) as unknown as { data: { samples: Uint8Array; chunkSize: number } };
  return Buffer.from(parsed.data.samples).subarray(0, parsed.data.chunkSize);
}

async function bytesOf(blob: Blob): Promise<Buffer> {
  return Buffer.from(await blob.arrayBuffer());
}

describe('cutRecording', () => {
  it('cuts a WAV into WAVs whose samples together are those of the whole', async () => {
    const { chunks, totalSeconds } = await cutRecording(new Blob([speech]), { chunkSeconds: 1 });
    expect(totalSeconds).toBeCloseTo(9.150563, 5);
    expect(chunks).toHaveLength(10);
    expect(chunks.slice(0, 9).every(({ seconds }) => seconds === 1)).toBe(true);
    const pieces = await Promise.all(chunks.map(async ({ audio }) => dataOf(await bytesOf(audio))));
    expect(Buffer.concat(pieces).equals(dataOf(speech))).toBe(true);
  });

  it.each([
    { channels: 2, rate: 44100, depth: '24' },
    { channels: 1, rate: 8000, depth: '8' },
    { channels: 1, rate: 48000, depth: '32f' },
    { channels: 3, rate: 11025, depth: '16' },
  ])('never cuts inside a sample of all channels: $channels x $depth bit at $rate Hz', async (form) => {
    const whole = ramp(form.rate + 77, form);
    const { chunks } = await cutRecording(new Blob([whole]), { chunkSeconds: 0.3333 });
    const parsed = await Promise.all(chunks.map(async ({ audio }) => new WaveFile(await bytesOf(audio))));
    for (const wav of parsed) {
      expect(wav.fmt).toMatchObject({ numChannels: form.channels, sampleRate: form.rate });
    }
    const pieces = await Promise.all(chunks.map(async ({ audio }) => dataOf(await bytesOf(audio))));
    expect(Buffer.concat(pieces).equals(dataOf(whole))).toBe(true);
  });

  it('pads chunks of an odd number of bytes, and says their true length', async () => {
    const { chunks } = await cutRecording(new Blob([ramp(801, { rate: 8000, depth: '8' })]), { chunkSeconds: 1 });
    const piece = await bytesOf(chunks[0].audio);
    expect(piece.length % 2).toBe(0);
    expect(piece.readUInt32LE(4)).toBe(piece.length - 8);
    expect(piece.readUInt32LE(40)).toBe(801);
  });

  it('passes over other chunks of the file, and takes a length that was never filled in as "to the end"', async () => {
    const plain = ramp(16000);
    const list = Buffer.from('LIST\x03\0\0\0abc\0', 'latin1');
    const wav = Buffer.concat([plain.subarray(0, 36), list, plain.subarray(36)]);
    wav.writeUInt32LE(0xffffffff, 36 + list.length + 4);
    const { chunks, totalSeconds } = await cutRecording(new Blob([wav]), { chunkSeconds: 0.4 });
    expect(totalSeconds).toBe(1);
    const pieces = await Promise.all(chunks.map(async ({ audio }) => dataOf(await bytesOf(audio))));
    expect(Buffer.concat(pieces).equals(dataOf(plain))).toBe(true);
  });

  it('leaves out half a sample at the end of a truncated file', async () => {
    const { totalSeconds } = await cutRecording(new Blob([ramp(1000).subarray(0, -3)]), { chunkSeconds: 1 });
    expect(totalSeconds).toBe(998 / 16000);
  });

  it('cuts headerless PCM into slices', async () => {
    const pcm: Buffer<ArrayBuffer> = Buffer.from(Array.from({ length: 2 * 20000 }, (_, index) => index % 251));
    const { chunks, totalSeconds } = await cutRecording(new Blob([pcm]), { chunkSeconds: 1, pcmSampleRate: 8000 });
    expect(totalSeconds).toBe(2.5);
    expect(chunks.map(({ audio, seconds }) => [audio.type, audio.size, seconds])).toEqual([
      ['audio/l16', 16000, 1],
      ['audio/l16', 16000, 1],
      ['audio/l16', 8000, 0.5],
    ]);
    const pieces = await Promise.all(chunks.map(({ audio }) => bytesOf(audio)));
    expect(Buffer.concat(pieces).equals(pcm)).toBe(true);
  });

  it('leaves what it cannot cut as one piece', async () => {
    const mp3 = new Blob([Buffer.from('ID3 and so on')]);
    const cut = await cutRecording(mp3, { chunkSeconds: 1, fileName: 'a.mp3' });
    expect(cut).toEqual({ totalSeconds: undefined, chunks: [{ audio: mp3, fileName: 'a.mp3', seconds: undefined }] });
    const adpcm = ramp(1000);
    adpcm.writeUInt16LE(17, 20);
    expect((await cutRecording(new Blob([adpcm]), { chunkSeconds: 0.01 })).chunks).toHaveLength(1);
  });

  it('refuses what the service would refuse: nothing, and more than 10 MB in a piece', async () => {
    await expect(cutRecording(new Blob([]), { chunkSeconds: 1 })).rejects.toMatchObject({ code: 'invalid_audio' });
    const large = new Blob([new Uint8Array(11 * 1024 * 1024)]);
    await expect(cutRecording(large, { chunkSeconds: 1 })).rejects.toMatchObject({ code: 'audio_too_large' });
    await expect(cutRecording(large, { chunkSeconds: 300, pcmSampleRate: 48000 })).rejects.toMatchObject({
      code: 'audio_too_large',
    });
    expect((await cutRecording(large, { chunkSeconds: 30, pcmSampleRate: 48000 })).chunks).toHaveLength(5);
  });
});
