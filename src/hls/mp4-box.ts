/** A box of ISO/IEC 14496-12: 32-bit size, four-letter type, content. */
export function box(type: string, ...content: readonly Uint8Array[]): Uint8Array {
  const size = content.reduce((sum, part) => sum + part.byteLength, 8);
  const bytes = Buffer.alloc(size);
  bytes.writeUInt32BE(size, 0);
  bytes.write(type, 4, 'latin1');
  let offset = 8;
  for (const part of content) {
    bytes.set(part, offset);
    offset += part.byteLength;
  }
  return bytes;
}

/** A box whose content begins with a version byte and 24 bits of flags. */
export function fullBox(type: string, version: number, flags: number, ...content: readonly Uint8Array[]): Uint8Array {
  return box(type, u32(version * 0x1000000 + flags), ...content);
}

/** Big-endian unsigned integers of 8, 16, 32 and 64 bits. */
export function u8(...values: readonly number[]): Uint8Array {
  return Uint8Array.from(values);
}

export function u16(...values: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, i) => {
    bytes.writeUInt16BE(value, i * 2);
  });
  return bytes;
}

export function u32(...values: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => {
    bytes.writeUInt32BE(value, i * 4);
  });
  return bytes;
}

export function u64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

/** ISO 8859-1 text without an end mark, such as a brand. */
export function text(value: string): Uint8Array {
  return Buffer.from(value, 'latin1');
}

export function zeros(count: number): Uint8Array {
  return new Uint8Array(count);
}
