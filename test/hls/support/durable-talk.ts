import { DurableEncoder, type DurableEncoderOptions } from '../../../src/hls/durable-encoder.js';
import { Packager } from '../../../src/hls/packager.js';
import { decodeLuma, decodeSound } from './ffmpeg-tools.js';
import { frameNumber, HEIGHT, testFrames, WIDTH } from './test-picture.js';

const FPS = 25;
const SOUND_RATE = 48_000;
export const SAMPLES_PER_FRAME = SOUND_RATE / FPS;

/** A talk whose encoder may be killed: it settles whole parts, as a stream does, and decodes them afterwards. */
export class DurableTalk {
  static readonly #open: DurableTalk[] = [];
  encoder!: DurableEncoder;
  /** The frame that each FFmpeg began with. */
  readonly firstFrames = [0];
  readonly errors: Error[] = [];
  readonly logged: unknown[][] = [];
  readonly #sound: Float32Array;
  #soundWritten = 0;
  readonly #packager: Packager;
  /** The first process's init segment, which fits the others too, and all parts. */
  readonly #media: Uint8Array[] = [];
  /** Most frames that were kept at a time. */
  mostKept = 0;

  private constructor(sound: Float32Array) {
    this.#sound = sound;
    this.#packager = new Packager({
      ...{ width: WIDTH, height: HEIGHT, fps: FPS, soundRate: SOUND_RATE, segmentFrames: FPS, partFrames: 5 },
      onInit: (bytes) => {
        if (this.#media.length === 0) this.#media.push(bytes);
      },
      onPart: ({ bytes, firstFrame, frames }) => {
        this.#media.push(bytes);
        this.encoder.settle(firstFrame + frames);
      },
      onSegment: () => {},
    });
  }

  static async open(sound: Float32Array, more: Partial<DurableEncoderOptions> = {}): Promise<DurableTalk> {
    const talk = new DurableTalk(sound);
    const log = (...line: unknown[]) => talk.logged.push(line);
    talk.encoder = await DurableEncoder.open({
      ...{ width: WIDTH, height: HEIGHT, picture: { width: WIDTH, height: HEIGHT } },
      ...{ fps: FPS, segmentFrames: FPS, soundRate: SOUND_RATE },
      logger: { error: log, warn: log } as DurableEncoderOptions['logger'],
      onPacket: (packet) => talk.#packager.push(packet),
      onRestart: (firstFrame) => {
        talk.firstFrames.push(firstFrame);
        talk.#packager.restart(firstFrame);
      },
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
    this.#packager.finish();
  }

  /** Numbers of all frames in parts, modulo 256, read from the decoded pictures in order. */
  frameNumbers(): number[] {
    return decodeLuma(Buffer.concat(this.#media), WIDTH * HEIGHT).map((luma) => frameNumber(luma));
  }

  /** The sound of all parts, as one decoder hears it that goes on from process to process. */
  sound(): Int16Array {
    return decodeSound(Buffer.concat(this.#media));
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
