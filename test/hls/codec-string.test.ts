import { soundCodec, videoCodec } from '../../src/hls/codec-string.js';

describe('codec strings (RFC 6381)', () => {
  it.each([
    [[1, 0x64, 0x00, 0x1e, 0xff], 'avc1.64001e'],
    [[1, 0x42, 0xc0, 0x0d, 0xff], 'avc1.42c00d'],
  ])('of H.264 %j is %s', (bytes, codec) => expect(videoCodec(Uint8Array.from(bytes))).toBe(codec));

  it.each([
    ['AAC-LC', [0x11, 0x88], 'mp4a.40.2'],
    ['HE-AAC', [0x2b, 0x11], 'mp4a.40.5'],
    // 31, then 42 - 32 = 10 in six bits
    ['xHE-AAC', [0xf9, 0x40], 'mp4a.40.42'],
  ])('of %s is that of its object type', (_name, bytes, codec) =>
    expect(soundCodec(Uint8Array.from(bytes))).toBe(codec),
  );
});
