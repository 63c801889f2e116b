import { readFile } from 'node:fs/promises';
import type { Logger } from '../log.js';
import { Encoder } from './encoder.js';
import type { EncoderFormat } from './encoder-arguments.js';

/** Starting takes as much as two seconds of video, once: that is left out. */
const WARM_SECONDS = 1;
/** The kernel counts in hundredths. */
const SECONDS = 3;
/** Where the kernel does not tell: CPU seconds per second of 512x512 video, measured on two shared cores. */
const USUAL_COST = 0.06;
const TICKS_PER_SECOND = 100;

/**
 * CPU seconds that FFmpeg takes for a second of video of this format, by a trial: a picture that moves as a whole, which
 * is harder to encode than a head that speaks.
 */
export async function measureEncoderCost(format: EncoderFormat, logger: Pick<Logger, 'error'>): Promise<number> {
  const { width, height, fps, soundRate } = format;
  const [warm, last] = [WARM_SECONDS * fps, (WARM_SECONDS + SECONDS) * fps];
  // Read while the process is still there.
  let before: Promise<number | undefined> | undefined;
  let after: Promise<number | undefined> | undefined;
  let pictures = 0;
  const encoder = await Encoder.open({
    ...format,
    logger,
    onPacket: ({ kind }) => {
      if (kind !== 'video') return;
      pictures++;
      if (pictures === warm) before = cpuSeconds(encoder.pid);
      else if (pictures === last) after = cpuSeconds(encoder.pid);
    },
    onError: () => undefined,
  });
  try {
    // The pictures of a second beyond push the last counted ones out.
    encoder.writeSound(new Float32Array((WARM_SECONDS + SECONDS + 1) * soundRate));
    for (let frame = 0; frame < last + fps; frame++) encoder.writeFrames(movingPicture(width, height, frame));
    await encoder.end();
  } finally {
    await encoder.close();
  }
  const [begun, done] = [await before, await after];
  if (begun === undefined || done === undefined) return USUAL_COST * ((width * height) / 512 ** 2);
  return (done - begun) / SECONDS;
}

/** A soft pattern that drifts by a pixel a frame, as I420. */
function movingPicture(width: number, height: number, frame: number): Uint8Array {
  const i420 = new Uint8Array((width * height * 3) / 2).fill(128);
  const row = new Uint8Array(width + height);
  for (let x = 0; x < row.length; x++) row[x] = 128 + 60 * Math.sin((x + frame) / 9) + 20 * Math.sin((x + frame) / 2.3);
  for (let y = 0; y < height; y++) i420.set(row.subarray(y, y + width), y * width);
  return i420;
}

/** User and system time of a process so far (proc(5), fields 14 and 15). */
async function cpuSeconds(pid: number | undefined): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The program's name, in brackets, may hold anything.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields && (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
