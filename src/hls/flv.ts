/** What one FLV tag carries. */
export type FlvPacket =
  /** AVCDecoderConfigurationRecord (`avcC`, ISO/IEC 14496-15) or AudioSpecificConfig (ISO/IEC 14496-3). */
  | { readonly kind: 'video-configuration' | 'sound-configuration'; readonly data: Uint8Array }
  /** One access unit of H.264, its NAL units each behind a four-byte length. */
  | { readonly kind: 'video'; readonly keyFrame: boolean; readonly data: Uint8Array }
  /** One raw AAC frame. */
  | { readonly kind: 'sound'; readonly data: Uint8Array };

const FILE_HEADER_BYTES = 13; // 9 of header, 4 of PreviousTagSize0
const TAG_HEADER_BYTES = 11;
const PREVIOUS_TAG_SIZE_BYTES = 4;
const AUDIO_TAG = 8;
const VIDEO_TAG = 9;
const H264 = 7;
const AAC = 10;
const KEY_FRAME = 1;

/**
 * Takes an FLV byte stream apart as it arrives (Adobe Flash Video File Format 10.1, annex E).
 * Timestamps are left out: they are whole milliseconds, and packets are counted instead.
 */
export class FlvDemuxer {
  #rest: Buffer = Buffer.alloc(0);
  #headerSeen = false;

  /**
   * @param chunk the next bytes, cut anywhere; not to be changed afterwards, packets point into it.
   * @returns the packets that are whole by now, in order.
   * @throws Error when the bytes are not FLV, or hold anything but H.264 and AAC.
   */
  push(chunk: Buffer): FlvPacket[] {
    let bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    const packets: FlvPacket[] = [];
    if (!this.#headerSeen && bytes.length >= FILE_HEADER_BYTES) {
      if (bytes.toString('latin1', 0, 3) !== 'FLV') throw new Error('Not an FLV stream.');
      this.#headerSeen = true;
      bytes = bytes.subarray(FILE_HEADER_BYTES);
    }
    while (this.#headerSeen && bytes.length >= TAG_HEADER_BYTES) {
      const bodyBytes = bytes.readUIntBE(1, 3);
      const end = TAG_HEADER_BYTES + bodyBytes;
      if (bytes.length < end + PREVIOUS_TAG_SIZE_BYTES) break;
      const packet = readTag(bytes[0], bytes.subarray(TAG_HEADER_BYTES, end));
      if (packet) packets.push(packet);
      bytes = bytes.subarray(end + PREVIOUS_TAG_SIZE_BYTES);
    }
    this.#rest = bytes;
    return packets;
  }
}

function readTag(type: number, body: Buffer): FlvPacket | undefined {
  if (type === VIDEO_TAG) {
    if ((body[0] & 15) !== H264) throw new Error(`FLV video codec ${body[0] & 15} is not H.264.`);
    // Byte 1: 0 configuration, 1 picture, 2 end of sequence; bytes 2 to 4: composition time, 0 without B-frames.
    if (body[1] === 0) return { kind: 'video-configuration', data: body.subarray(5) };
    if (body[1] === 1) return { kind: 'video', keyFrame: body[0] >> 4 === KEY_FRAME, data: body.subarray(5) };
    return undefined;
  }
  if (type === AUDIO_TAG) {
    if (body[0] >> 4 !== AAC) throw new Error(`FLV audio codec ${body[0] >> 4} is not AAC.`);
    return { kind: body[1] === 0 ? 'sound-configuration' : 'sound', data: body.subarray(2) };
  }
  return undefined; // script data: the muxer's remarks
}
