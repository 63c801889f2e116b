import { DurableEncoder, type DurableEncoderOptions } from '../../../src/hls/durable-encoder.js';
import { Packager, type Part } from '../../../src/hls/packager.js';
import { decodeLuma, decodeSound } from './ffmpeg-tools.js';
import { frameNumber, HEIGHT, testFrames, WIDTH } from './test-picture.js';

const FPS = 25;
const SOUND_RATE = 48_000;
export const SAMPLES_PER_FRAME = SOUND_RATE / FPS;

/** What one FFmpeg process has brought into parts. */
interface RunOfParts {
  readonly firstFrame: number;
  readonly packager: Packager;
  readonly media: Uint8Array[];
}

/** A talk whose encoder may be killed: it settles whole parts, as a stream does, and decodes them afterwards. */
export class DurableTalk {
  static readonly #open: DurableTalk[] = [];
  encoder!: DurableEncoder;
  readonly runs: RunOfParts[] = [];
  readonly errors: Error[] = [];
  readonly logged: unknown[][] = [];
  #sound: Float32Array;
  #soundWritten = 0;
  /** Most frames that were kept at a time. */
  mostKept = 0;

  private constructor(sound: Float32Array) {
    this.#sound = sound;
  }

  static async open(sound: Float32Array, more: Partial<DurableEncoderOptions> = {}): Promise<DurableTalk> {
    const talk = new DurableTalk(sound);
    talk.#begin(0);
    const log = (...line: unknown[]) => talk.logged.push(line);
    talk.encoder = await DurableEncoder.open({
      ...{ width: WIDTH, height: HEIGHT, picture: { width: WIDTH, height: HEIGHT } },
      ...{ fps: FPS, segmentFrames: FPS, soundRate: SOUND_RATE },
      logger: { error: log, warn: log } as DurableEncoderOptions['logger'],
      onPacket: (packet) => talk.runs[talk.runs.length - 1].packager.push(packet),
      onRestart: (firstFrame) => talk.#begin(firstFrame),
      onError: (error) => talk.errors.push(error),
      ...more,
    });
    DurableTalk.#open.push(talk);
    return talk;
  }

  /** Closes what a test has left, so that one that fails leaves no process behind. */
  static async closeAll(): Promise<void> {
    await Promise.all(DurableTalk.#open.splice(0).map(({ encoder }) => encoder.close()));
  }

  #begin(firstFrame: number): void {
    const media: Uint8Array[] = [];
    const packager = new Packager({
      ...{ width: WIDTH, height: HEIGHT, fps: FPS, soundRate: SOUND_RATE, segmentFrames: FPS, partFrames: 5 },
      onInit: (bytes) => media.push(bytes),
      onPart: (part: Part) => {
        media.push(part.bytes);
        this.encoder.settle(firstFrame + part.firstFrame + part.frames);
      },
      onSegment: () => {},
    });
    this.runs.push({ firstFrame, packager, media });
  }

  /** Writes the next frames with their sound, which runs so many frames ahead, and waits for FFmpeg to keep up. */
  async write(count: number, lead = 10): Promise<void> {
    this.put(count, lead);
    await this.encoder.drained();
  }

  /** Writes without waiting. */
  put(count: number, lead = 10): void {
    const first = this.encoder.framesWritten;
    const until = (first + count + lead) * SAMPLES_PER_FRAME;
    this.encoder.writeSound(this.#sound.subarray(this.#soundWritten, until));
    this.#soundWritten = Math.min(until, this.#sound.length);
    this.encoder.writeFrames(testFrames(first, count));
    this.mostKept = Math.max(this.mostKept, this.encoder.framesKept);
  }

  /** Ends the talk: what is left becomes the last part. */
  async end(): Promise<void> {
    await this.encoder.end();
    this.runs[this.runs.length - 1].packager.finish();
  }

  /** Numbers of all frames in parts, modulo 256, read from the decoded pictures in order. */
  frameNumbers(): number[] {
    return this.#runsWithParts().flatMap(({ media }) =>
      decodeLuma(Buffer.concat(media), WIDTH * HEIGHT).map((luma) => frameNumber(luma)),
    );
  }

  /** The decoded sound of all parts on the timeline, each process's from its first packet to the next one's. */
  sound(frames: number): Int16Array {
    const timeline = new Int16Array(frames * SAMPLES_PER_FRAME);
    for (const { firstFrame, media } of this.#runsWithParts()) {
      // The first packet that starts while the first frame is shown.
      const at = Math.ceil((firstFrame * SAMPLES_PER_FRAME) / 1024) * 1024;
      timeline.set(decodeSound(Buffer.concat(media)).subarray(0, timeline.length - at), at);
    }
    return timeline;
  }

  #runsWithParts(): RunOfParts[] {
    return this.runs.filter(({ media }) => media.length > 1);
  }
}

export function silence(seconds: number): Float32Array {
  return new Float32Array(seconds * SOUND_RATE);
}

/** A voice-like test sound that looks like itself nowhere else: a slow sweep under a slow beat. */
export function sweep(seconds: number): Float32Array {
  return Float32Array.from({ length: seconds * SOUND_RATE }, (_, i) => {
    const t = i / SOUND_RATE;
    return 0.5 * Math.sin(2 * Math.PI * (200 * t + 40 * t * t)) * (0.7 + 0.3 * Math.sin(2 * Math.PI * 3 * t));
  });
}
