/** The one variant of a talk. */
export interface Variant {
  readonly uri: string;
  /** Bits a second: no stretch of the stream has more; and on average. */
  readonly peakBitRate: number;
  readonly averageBitRate: number;
  /** RFC 6381 codecs of picture and sound. */
  readonly codecs: readonly string[];
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly fps: number;
}

/** The multivariant playlist (RFC 8216bis 4.4.6) of a talk, which comes in one quality. Pure. */
export function multivariantPlaylist(variant: Variant): string {
  const attributes = [
    // 4.4.6.2: BANDWIDTH is required; an upper bound of the peak segment bit rate while segments are being made.
    `BANDWIDTH=${variant.peakBitRate}`,
    `AVERAGE-BANDWIDTH=${variant.averageBitRate}`,
    // "Every EXT-X-STREAM-INF tag SHOULD include a CODECS attribute."
    `CODECS="${variant.codecs.join(',')}"`,
    `RESOLUTION=${variant.width}x${variant.height}`,
    `FRAME-RATE=${variant.fps.toFixed(3)}`,
  ];
  const lines = ['#EXTM3U', '#EXT-X-VERSION:7', '#EXT-X-INDEPENDENT-SEGMENTS'];
  return `${[...lines, `#EXT-X-STREAM-INF:${attributes.join(',')}`, variant.uri].join('\n')}\n`;
}
