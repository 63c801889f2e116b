import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FlvPacket } from '../../../src/hls/flv.js';
import { Packager } from '../../../src/hls/packager.js';
import { PublishedStream, type PublishedStreamOptions } from '../../../src/hls/published-stream.js';
import { SegmentStore } from '../../../src/hls/segment-store.js';

// Configurations as x264 and FFmpeg's AAC encoder write them: High profile at level 3; AAC-LC, 48 kHz, mono.
const AVCC = '0164001effe1001b6764001eacb40400834dc043419000000300100000030328f162ea01000568ef06f2c0fdf8f800';
export const VIDEO_CONFIGURATION: FlvPacket = { kind: 'video-configuration', data: Buffer.from(AVCC, 'hex') };
export const SOUND_CONFIGURATION: FlvPacket = {
  kind: 'sound-configuration',
  data: Buffer.from([0x11, 0x88, 0x56, 0xe5, 0]),
};

const IDR = 0x65;
const NON_IDR = 0x41;

/** One NAL unit whose bytes tell the frame's number. */
export function encodedFrame(n: number, keyFrame: boolean): FlvPacket {
  const data = Buffer.alloc(100 + (n % 50), n);
  data.writeUInt32BE(data.length - 4, 0);
  data[4] = keyFrame ? IDR : NON_IDR;
  return { kind: 'video', keyFrame, data };
}

export function encodedSound(n: number): FlvPacket {
  return { kind: 'sound', data: new Uint8Array(20 + (n % 7)).fill(n) };
}

/** Sound packets that start before a frame does. */
const packetsUntil = (frame: number) => Math.ceil((frame * 1920) / 1024);

/** A live stream from the packager on, with packets made up in place of FFmpeg: nothing in it waits for anything. */
export class EncodedStream {
  readonly packager: Packager;
  readonly failures: unknown[] = [];
  #frame = 0;
  /** The frame that the encoder began with. */
  #from = 0;
  #packets = 0;

  private constructor(
    readonly folder: string,
    readonly store: SegmentStore,
    readonly published: PublishedStream,
    { fps, segmentFrames, partFrames }: Pick<PublishedStreamOptions, 'fps' | 'segmentFrames' | 'partFrames'>,
  ) {
    this.packager = new Packager({
      ...{ width: 512, height: 384, fps, soundRate: 48000, segmentFrames, partFrames },
      onInit: (bytes, formats) => published.addInit(bytes, formats),
      onPart: (part) => published.addPart(part),
      onSegment: (segment) => published.addSegment(segment),
    });
    this.#configure();
  }

  static async open(more: Partial<PublishedStreamOptions> = {}): Promise<EncodedStream> {
    const folder = await mkdtemp(join(tmpdir(), 'facecast-test-'));
    const store = await SegmentStore.create(join(folder, 'stream'));
    const failures: unknown[] = [];
    const options: PublishedStreamOptions = {
      ...{ fps: 25, segmentFrames: 25, partFrames: 5, picture: { width: 512, height: 384 }, waitSeconds: 15 },
      ...{ live: { windowSegments: 7, record: false }, edition: undefined, store },
      onStoringFailed: (cause) => failures.push(cause),
      ...more,
    };
    const stream = new EncodedStream(folder, store, new PublishedStream(options), options);
    stream.failures.push(...failures);
    return stream;
  }

  /** Encodes up to this frame, with the sound for it. */
  to(frame: number): void {
    for (; this.#frame < frame; this.#frame++) {
      const ahead = packetsUntil(this.#frame + 1);
      for (; this.#packets < ahead; this.#packets++) this.packager.push(encodedSound(this.#packets));
      this.packager.push(encodedFrame(this.#frame, (this.#frame - this.#from) % 25 === 0));
    }
  }

  /** Another encoder takes over at the first frame that is in no part. */
  restart(): void {
    this.#frame -= this.#frame % 5;
    this.#from = this.#frame;
    this.#packets = packetsUntil(this.#frame);
    this.packager.restart(this.#frame);
    this.#configure();
  }

  end(): void {
    this.packager.finish();
    this.published.end();
  }

  async close(): Promise<void> {
    this.published.close();
    await this.store.remove();
    await rm(this.folder, { recursive: true, force: true });
  }

  #configure(): void {
    this.packager.push(VIDEO_CONFIGURATION);
    this.packager.push(SOUND_CONFIGURATION);
  }
}
