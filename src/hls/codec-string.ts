/**
 * The CODECS entry of an H.264 track (RFC 6381 3.3): `avc1.` and the profile, its constraints and the level in hex.
 * @param configuration AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1)
 */
export function videoCodec(configuration: Uint8Array): string {
  return `avc1.${Buffer.from(configuration.subarray(1, 4)).toString('hex')}`;
}

/**
 * The CODECS entry of an AAC track (RFC 6381 3.3): `mp4a.40.` and the audio object type.
 * @param configuration AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1)
 */
export function soundCodec(configuration: Uint8Array): string {
  const objectType = configuration[0] >> 3;
  // 31 announces a type from 32 on, in the six bits that follow.
  const extended = 32 + ((configuration[0] & 7) << 3) + (configuration[1] >> 5);
  return `mp4a.40.${objectType === 31 ? extended : objectType}`;
}
