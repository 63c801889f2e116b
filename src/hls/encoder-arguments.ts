/** Pixels. */
export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** What FFmpeg must know to encode one talk. */
export interface EncoderFormat {
  /** Frame size in pixels; both even. */
  readonly width: number;
  readonly height: number;
  /** Size of the picture in the stream; both even. Frames of another size are scaled to it. */
  readonly picture: PictureSize;
  /** Frames a second, an integer. */
  readonly fps: number;
  /** Frames from one IDR picture to the next: one segment. */
  readonly segmentFrames: number;
  /** Sound samples a second, mono. */
  readonly soundRate: number;
  /** Samples between the start of the first frame and the first sample of sound; below 0 where the sound begins before. Default 0. */
  readonly soundOffset?: number;
}

/** Where FFmpeg connects to: the paths of four listening Unix sockets. */
export interface EncoderSockets {
  readonly frames: string;
  readonly sound: string;
  readonly video: string;
  readonly audio: string;
}

/** One input or output of FFmpeg: its options and, last on the command line, its address. */
export interface EncoderEndpoint {
  readonly options: readonly string[];
  readonly url: string;
}

export interface EncoderArguments {
  readonly inputs: readonly [frames: EncoderEndpoint, sound: EncoderEndpoint];
  readonly outputs: readonly [video: EncoderEndpoint, audio: EncoderEndpoint];
}

/**
 * The command line of the encoder, as data: raw I420 frames and s16le mono sound in, H.264 and AAC out, each in an FLV
 * stream of its own. Pure.
 */
export function encoderArguments(format: EncoderFormat, sockets: EncoderSockets): EncoderArguments {
  const { width, height, picture, fps, segmentFrames, soundRate, soundOffset = 0 } = format;
  const kilobits = videoKilobits(picture);
  // Raw streams say nothing about themselves, so probing only delays the start (0.85 s by default).
  const noProbing = ['-probesize', '32', '-analyzeduration', '0'];
  // A FLV tag carries its length, so a packet can be read as soon as it is written: no muxer waits for the next one.
  const flv = ['-f', 'flv', '-flvflags', 'no_duration_filesize', '-flush_packets', '1'];
  return {
    inputs: [
      {
        options: [
          // For the whole program; stderr then holds errors only, and stdin is left alone.
          ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'error'],
          ...noProbing,
          // Four raw frames (1.5 MB at 512x512) are enough between the reading and the encoding thread.
          ...['-thread_queue_size', '4'],
          ...['-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-s', `${width}x${height}`, '-framerate', `${fps}`],
        ],
        url: `unix:${sockets.frames}`,
      },
      {
        options: [
          ...noProbing,
          // FFmpeg always works on the output that is furthest behind. Telling it that the sound is a frame late makes
          // it encode the sound of a frame with that frame, and not with the next one. Packets are counted, so the
          // timestamps matter to nothing else.
          ...['-itsoffset', `${soundOffset / soundRate - 1 / fps}`],
          ...['-thread_queue_size', '64'],
          ...['-f', 's16le', '-ar', `${soundRate}`, '-ac', '1'],
        ],
        url: `unix:${sockets.sound}`,
      },
    ],
    outputs: [
      {
        options: [
          ...['-map', '0:v', '-c:v', 'libx264', '-preset', 'superfast', '-tune', 'zerolatency'],
          // One closed GOP a segment, and no IDR anywhere else.
          ...['-g', `${segmentFrames}`, '-keyint_min', `${segmentFrames}`, '-sc_threshold', '0', '-bf', '0'],
          // Constant quality, with a ceiling for a player's bandwidth. On real talks this looks as good as `veryfast` with 20
          // (PSNR of luma +0.3 to +0.7 dB) for 30 % less of a core and a fifth more bits.
          ...['-crf', '21', '-maxrate', `${kilobits}k`, '-bufsize', `${kilobits}k`],
          // One thread a talk: talks share the machine's cores, and more threads cost memory and lateness.
          ...['-threads', '1', '-filter_threads', '1', '-pix_fmt', 'yuv420p'],
          // The renderer turns sRGB into YCbCr with the BT.601 matrix, limited range. setparams tags the frames without touching them.
          ...['-vf', [...scaling(format), COLOURS].join(',')],
          ...['-color_range', 'tv', '-color_primaries', 'bt709', '-color_trc', 'iec61966-2-1'],
          ...['-colorspace', 'smpte170m'],
          ...flv,
        ],
        url: `unix:${sockets.video}`,
      },
      {
        options: [
          // FFmpeg's manual has the fast coder better than the default one at high bit rates; on recordings of speech it was (by 3 to
          // 12 dB of SNR), in half the time.
          ...['-map', '1:a', '-c:a', 'aac', '-aac_coder', 'fast', '-b:a', `${SOUND_KILOBITS}k`],
          ...['-threads', '1', '-filter_threads', '1'],
          ...flv,
        ],
        url: `unix:${sockets.audio}`,
      },
    ],
  };
}

/** Bits a second of the sound, in thousands. */
export const SOUND_KILOBITS = 96;

const COLOURS = 'setparams=range=tv:color_primaries=bt709:color_trc=iec61966-2-1:colorspace=smpte170m';

/** Filters that bring frames to the picture's size, if it is another. */
function scaling({ width, height, picture }: EncoderFormat): string[] {
  if (picture.width === width && picture.height === height) return [];
  // Means where several pixels become one; elsewhere what keeps edges sharp.
  const flags = picture.width < width ? 'area' : 'lanczos';
  return [`scale=${picture.width}:${picture.height}:flags=${flags}`];
}

/**
 * The most bits a second that a picture may take, in thousands: 3000 at 512x512, by area. The encoder keeps to it over
 * any second with another second's worth in hand (`-bufsize`).
 */
export function videoKilobits({ width, height }: PictureSize): number {
  return Math.max(1000, Math.round((3000 * width * height) / 512 ** 2));
}
