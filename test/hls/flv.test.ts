import { FlvDemuxer, type FlvPacket } from '../../src/hls/flv.js';

const HEADER = Buffer.from([0x46, 0x4c, 0x56, 1, 5, 0, 0, 0, 9, 0, 0, 0, 0]);

function tag(type: number, body: readonly number[]): Buffer {
  const bytes = Buffer.alloc(11 + body.length + 4);
  bytes[0] = type;
  bytes.writeUIntBE(body.length, 1, 3);
  bytes.set(body, 11);
  bytes.writeUInt32BE(11 + body.length, 11 + body.length);
  return bytes;
}

const STREAM = Buffer.concat([
  HEADER,
  tag(18, [2, 0, 1, 65]),
  tag(9, [0x17, 0, 0, 0, 0, 1, 100, 0, 31]),
  tag(8, [0xaf, 0, 0x11, 0x88]),
  tag(9, [0x17, 1, 0, 0, 0, 10, 11, 12]),
  tag(8, [0xaf, 1, 20, 21]),
  tag(9, [0x27, 1, 0, 0, 0, 13]),
  tag(9, [0x17, 2, 0, 0, 0]),
]);

const PACKETS = [
  { kind: 'video-configuration', data: [1, 100, 0, 31] },
  { kind: 'sound-configuration', data: [0x11, 0x88] },
  { kind: 'video', keyFrame: true, data: [10, 11, 12] },
  { kind: 'sound', data: [20, 21] },
  { kind: 'video', keyFrame: false, data: [13] },
];

const plain = (packets: FlvPacket[]) => packets.map((packet) => ({ ...packet, data: [...packet.data] }));

describe('FlvDemuxer', () => {
  it('hands out configurations, pictures and sound, and nothing else', () => {
    expect(plain(new FlvDemuxer().push(STREAM))).toEqual(PACKETS);
  });

  it.each([1, 2, 3, 7, 13, 16, 40])('does so however the bytes are cut (every %i)', (size) => {
    const demuxer = new FlvDemuxer();
    const packets: FlvPacket[] = [];
    for (let i = 0; i < STREAM.length; i += size) packets.push(...demuxer.push(STREAM.subarray(i, i + size)));
    expect(plain(packets)).toEqual(PACKETS);
  });

  it('hands out a packet with its last byte, not later', () => {
    const demuxer = new FlvDemuxer();
    const whole = Buffer.concat([HEADER, tag(8, [0xaf, 1, 20])]);
    expect(demuxer.push(whole.subarray(0, -1))).toEqual([]);
    expect(plain(demuxer.push(whole.subarray(-1)))).toEqual([{ kind: 'sound', data: [20] }]);
  });

  it('refuses what is not FLV with H.264 and AAC', () => {
    expect(() => new FlvDemuxer().push(Buffer.from('RIFF0000WAVEfmt '))).toThrow('Not an FLV stream');
    expect(() => new FlvDemuxer().push(Buffer.concat([HEADER, tag(9, [0x12, 0, 0])]))).toThrow('codec 2 is not H.264');
    expect(() => new FlvDemuxer().push(Buffer.concat([HEADER, tag(8, [0x2f, 0, 0])]))).toThrow('codec 2 is not AAC');
  });
});
