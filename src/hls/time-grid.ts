/** Ticks a frame lasts; with 25 frames a second the timescale is 12800, as FFmpeg's MP4 muxer chooses it. */
export const FRAME_TICKS = 512;

/** Samples of sound in one AAC packet. */
export const SOUND_PACKET_SAMPLES = 1024;

/** Frames a second and sound samples a second, both integers. */
export interface Rates {
  readonly fps: number;
  readonly soundRate: number;
}

/** The sample that a frame begins with, both counted from the start of the talk. */
export function sampleOf(frame: number, { fps, soundRate }: Rates): number {
  return Math.round((frame * soundRate) / fps);
}

/**
 * Number of the first sound packet that starts when a frame does, or while it is shown: the first one that belongs to it.
 * So packets of every encoder of a talk lie on one grid, without overlap or gap.
 */
export function packetOf(frame: number, { fps, soundRate }: Rates): number {
  // ceil(frame / fps * rate / 1024), with one rounding only
  return Math.ceil((frame * soundRate) / (fps * SOUND_PACKET_SAMPLES));
}
