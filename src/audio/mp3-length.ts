/** Bytes from a frame's header to its Xing tag, by MPEG version 1 or later and by mono or not: the side information. */
const SIDE_INFORMATION = { first: { mono: 17, more: 32 }, later: { mono: 9, more: 17 } };

/**
 * How many samples an MP3 holds by the tag its encoder left in the first frame ("Xing" or "Info", with LAME's extension):
 * whole frames less what the encoder put before the first and behind the last sample. FFmpeg knows it too, but does not
 * take off the end of what it reads from a pipe; every chunk of a cut recording would then be about 20 ms too long.
 * @returns undefined where there is no such tag.
 */
export function mp3Samples(bytes: Buffer): number | undefined {
  const frame = startOfFrames(bytes);
  if (frame + 4 > bytes.length || bytes.readUInt16BE(frame) >> 5 !== 0x7ff) return undefined;
  const isFirst = ((bytes[frame + 1]! >> 3) & 3) === 3; // MPEG 1; 2 and 2.5 have half its samples a frame
  const isMono = bytes[frame + 3]! >> 6 === 3;
  const at = frame + 4 + SIDE_INFORMATION[isFirst ? 'first' : 'later'][isMono ? 'mono' : 'more'];
  if (at + 8 > bytes.length || !['Xing', 'Info'].includes(bytes.toString('latin1', at, at + 4))) return undefined;
  const flags = bytes.readUInt32BE(at + 4);
  // Number of frames, number of bytes, table of contents, quality: each is there when its bit is set.
  const encoder = at + 8 + (flags & 1 ? 4 : 0) + (flags & 2 ? 4 : 0) + (flags & 4 ? 100 : 0) + (flags & 8 ? 4 : 0);
  if (!(flags & 1) || encoder + 24 > bytes.length) return undefined;
  const frames = bytes.readUInt32BE(at + 8);
  const around = bytes.readUIntBE(encoder + 21, 3); // 12 bits before, 12 bits behind
  const samples = frames * (isFirst ? 1152 : 576) - (around >> 12) - (around & 0xfff);
  return samples > 0 ? samples : undefined;
}

/** Position behind an ID3v2 tag, whose size is four bytes of seven bits. */
function startOfFrames(bytes: Buffer): number {
  if (bytes.length < 10 || bytes.toString('latin1', 0, 3) !== 'ID3') return 0;
  return 10 + ((bytes[6]! << 21) | (bytes[7]! << 14) | (bytes[8]! << 7) | bytes[9]!);
}
