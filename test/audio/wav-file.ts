/** How a WAV keeps its samples: unsigned, signed, float, and the bits. */
export type SampleCoding = 'u8' | 's16' | 's24' | 's32' | 'f32' | 'f64';

const BYTES: Record<SampleCoding, number> = { u8: 1, s16: 2, s24: 3, s32: 4, f32: 4, f64: 8 };

/** A RIFF WAVE file with a 44-byte header; written here byte by byte, so that the decoder is not tested by itself. */
export function wavFile(coding: SampleCoding, sampleRate: number, channels: readonly Float32Array[]): Buffer {
  const bytes = BYTES[coding];
  const blockAlign = bytes * channels.length;
  const dataLength = blockAlign * channels[0].length;
  const file = Buffer.alloc(44 + dataLength);
  file.write('RIFF', 0, 'latin1');
  file.writeUInt32LE(file.length - 8, 4);
  file.write('WAVEfmt ', 8, 'latin1');
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(coding.startsWith('f') ? 3 : 1, 20);
  file.writeUInt16LE(channels.length, 22);
  file.writeUInt32LE(sampleRate, 24);
  file.writeUInt32LE(sampleRate * blockAlign, 28);
  file.writeUInt16LE(blockAlign, 32);
  file.writeUInt16LE(bytes * 8, 34);
  file.write('data', 36, 'latin1');
  file.writeUInt32LE(dataLength, 40);
  let at = 44;
  for (let i = 0; i < channels[0].length; i++) {
    for (const channel of channels) {
      writeSample(file, at, coding, channel[i]);
      at += bytes;
    }
  }
  return file;
}

/** 16-bit little-endian samples without a header. */
export function headerlessPcm(samples: Float32Array): Buffer {
  return wavFile('s16', 16_000, [samples]).subarray(44);
}

/** A sine from phase 0. */
export function tone(hertz: number, sampleRate: number, length: number, amplitude = 0.5): Float32Array {
  return new Float32Array(length).map((_, i) => amplitude * Math.sin((2 * Math.PI * hertz * i) / sampleRate));
}

function writeSample(file: Buffer, at: number, coding: SampleCoding, value: number): void {
  if (coding === 'u8') file.writeUInt8(Math.round(value * 127) + 128, at);
  else if (coding === 's16') file.writeInt16LE(Math.round(value * 32767), at);
  else if (coding === 's24') file.writeIntLE(Math.round(value * 8388607), at, 3);
  else if (coding === 's32') file.writeInt32LE(Math.round(value * 2147483647), at);
  else if (coding === 'f32') file.writeFloatLE(value, at);
  else file.writeDoubleLE(value, at);
}
