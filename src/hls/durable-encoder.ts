import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../errors.js';
import { HangWatch } from '../hang-watch.js';
import type { Logger } from '../log.js';
import { Encoder, type EncoderOptions } from './encoder.js';
import type { FlvPacket } from './flv.js';
import { packetOf, SOUND_PACKET_SAMPLES, sampleOf } from './time-grid.js';
import { Unsettled } from './unsettled.js';

/** So many deaths within the time, or without a frame settled between them, and the encoder gives up. */
const MAX_DEATHS = 3;
const DEATHS_WITHIN_MILLISECONDS = 10_000;

/** Between two attempts to start FFmpeg. */
const RETRY_MILLISECONDS = 200;

/** FFmpeg that gives nothing out for so long, while it has what it needs, hangs. */
const STALL_SECONDS = 10;

/**
 * An AAC packet is decoded with the help of the one before, so the first of a new process must be what the old one's next
 * would have been. It is nearly that when the new process has begun with two packets of sound that are in parts already.
 */
const REPEATED_PACKETS = 2;

/** Sound that FFmpeg needs past a frame before it must let the frame out: 90 ms were measured. */
const SOUND_LEAD_SECONDS = 0.2;

export interface DurableEncoderOptions extends EncoderOptions {
  readonly logger: Pick<Logger, 'error' | 'warn'>;
  /**
   * Called when a new FFmpeg takes over, before its first packet. Packets that were handed out and are in no part yet must
   * be dropped: from `firstFrame` on everything comes again. The new picture begins there with an IDR picture, and the first
   * sound packet is the first that starts while that frame is shown. Both configurations come again too.
   */
  readonly onRestart: (firstFrame: number) => void;
  /** Called once when no FFmpeg can be kept running. */
  readonly onError: (error: AppError) => void;
  /**
   * The frame that the talk goes on with, where it was begun by an encoder of another life; then as after `onRestart`.
   * Default 0.
   */
  readonly firstFrame?: number;
  /** Seconds after which a silent FFmpeg counts as hung; 10 when absent. */
  readonly stallSeconds?: number;
}

/** One FFmpeg process at work. */
interface Run {
  encoder: Encoder;
  firstFrame: number;
  /** Packets of sound it gives out first that are in parts already. */
  repeatedPackets: number;
  /** Pictures it gave out. */
  pictures: number;
}

/**
 * An encoder that outlives its FFmpeg: when the process dies or hangs, another goes on with the first frame that is not
 * settled. What was written is kept until `settle` says that it is in a part, so memory holds what lies between the
 * writer and the last part. A caller that awaits `drained` and settles every part bounds that: some 8 frames wait here, and
 * a few are in FFmpeg, in its sockets and in the part that is being filled.
 */
export class DurableEncoder {
  readonly #options: DurableEncoderOptions;
  readonly #frameBytes: number;
  readonly #frames: Unsettled<Uint8Array>;
  readonly #sound: Unsettled<Float32Array>;
  /** Samples at the beginning that lie in a packet which is in a part already. */
  #soundToSkip: number;
  readonly #closed = new AbortController();
  #run: Run | undefined;
  #restarting: Promise<void> = Promise.resolve();
  /** Processes that are being taken away. */
  readonly #leaving = new Set<Promise<void>>();
  #deaths: { at: number; frame: number }[] = [];
  #watch: HangWatch | undefined;
  #ending: Promise<void> | undefined;
  #failure: AppError | undefined;

  private constructor(options: DurableEncoderOptions) {
    this.#options = options;
    const { width, height, firstFrame = 0 } = options;
    this.#frameBytes = (width * height * 3) / 2;
    this.#frames = new Unsettled(firstFrame * this.#frameBytes);
    this.#sound = new Unsettled(this.#firstSample(firstFrame));
    this.#soundToSkip = this.#sound.start - sampleOf(firstFrame, options);
  }

  /**
   * Starts FFmpeg.
   * @throws AppError `internal` when it does not start; there is no second attempt here.
   */
  static async open(options: DurableEncoderOptions): Promise<DurableEncoder> {
    const encoder = new DurableEncoder(options);
    encoder.#run = await encoder.#launch();
    encoder.#watch = new HangWatch({
      seconds: options.stallSeconds ?? STALL_SECONDS,
      owes: () => encoder.#run !== undefined && encoder.#owes(encoder.#run),
      onHang: () => encoder.#hangs(),
    });
    return encoder;
  }

  /** The id of the FFmpeg process at work, if there is one just now. */
  get pid(): number | undefined {
    return this.#run?.encoder.pid;
  }

  /** Where the picture ends: frames written, each counted once, and those before the first. */
  get framesWritten(): number {
    return this.#frames.end / this.#frameBytes;
  }

  /** Frames written that are not settled: what another FFmpeg would be given again. */
  get framesKept(): number {
    return (this.#frames.end - this.#frames.start) / this.#frameBytes;
  }

  /** @param samples mono at the sound rate, -1..1; louder is clipped. */
  writeSound(samples: Float32Array): void {
    if (this.#over || this.#ending) return;
    const kept = samples.slice(this.#soundToSkip);
    this.#soundToSkip = Math.max(0, this.#soundToSkip - samples.length);
    this.#sound.push(kept);
    this.#run?.encoder.writeSound(kept);
  }

  /** @param i420 whole frames, one after the other, each width * height * 3/2 bytes; not to be changed afterwards. */
  writeFrames(i420: Uint8Array): void {
    if (i420.byteLength % this.#frameBytes !== 0) throw new RangeError('Not a whole number of frames.');
    if (this.#over || this.#ending) return;
    this.#frames.push(i420);
    this.#run?.encoder.writeFrames(i420);
  }

  /** Everything before this frame, picture and sound, is in a part: it will never be needed again. */
  settle(frame: number): void {
    this.#frames.settle(frame * this.#frameBytes);
    this.#sound.settle(this.#firstSample(frame) - REPEATED_PACKETS * SOUND_PACKET_SAMPLES);
  }

  /**
   * Resolves when no more than a few frames wait for FFmpeg. While one FFmpeg is being replaced, the caller waits here too.
   * @throws AppError `internal` once the encoder gave up, `session_closed` after `close`.
   */
  drained(): Promise<void> {
    return this.#withRun(({ encoder }) => encoder.drained());
  }

  /**
   * Ends the talk; sound that is shorter than the picture is filled up with silence.
   * Resolves when every encoded packet was handed to `onPacket`.
   * @throws AppError as `drained` does.
   */
  end(): Promise<void> {
    this.#ending ??= this.#withRun(async (run) => {
      await run.encoder.end();
      const missing = this.framesWritten - run.firstFrame - run.pictures;
      if (missing > 0) {
        const error = stoppedUnexpectedly(new Error(`FFmpeg ended well, but without the last ${missing} frames.`));
        this.#options.logger.error({ err: error.cause }, 'encoder lost frames');
        this.#died(run, error);
        throw error;
      }
      this.#forget();
    }).finally(() => this.#watch?.stop());
    return this.#ending;
  }

  /** Kills FFmpeg if it still runs, whichever it is. Idempotent; resolves when no process and no socket is left. */
  async close(): Promise<void> {
    this.#closed.abort();
    this.#watch?.stop();
    this.#dismiss();
    this.#forget();
    await this.#restarting;
    await Promise.all(this.#leaving);
  }

  get #over(): boolean {
    return this.#closed.signal.aborted || this.#failure !== undefined;
  }

  /** Has the work done by the FFmpeg of the moment, and again by the next one should it die meanwhile. */
  async #withRun(work: (run: Run) => Promise<void>): Promise<void> {
    for (;;) {
      if (this.#failure) throw this.#failure;
      if (this.#closed.signal.aborted) throw new AppError('session_closed', 'The session was closed.');
      const run = this.#run;
      if (!run) {
        await this.#restarting;
        continue;
      }
      try {
        await work(run);
        return;
      } catch (error) {
        if (this.#run === run) throw error;
      }
    }
  }

  /**
   * Starts an FFmpeg for all that is not settled. Nothing is settled before it has been given that.
   * @throws AppError `internal` when it does not start.
   */
  async #launch(): Promise<Run> {
    const firstFrame = this.#frames.start / this.#frameBytes;
    const firstSample = this.#firstSample(firstFrame);
    const repeatable = Math.floor((firstSample - this.#sound.start) / SOUND_PACKET_SAMPLES);
    const repeatedPackets = Math.min(REPEATED_PACKETS, repeatable);
    const run = { firstFrame, repeatedPackets, pictures: 0 } as Run;
    run.encoder = await Encoder.open({
      ...this.#options,
      soundOffset: firstSample - repeatedPackets * SOUND_PACKET_SAMPLES - sampleOf(firstFrame, this.#options),
      onPacket: (packet) => this.#receive(run, packet),
      onError: (error) => this.#died(run, error),
    });
    return run;
  }

  #receive(run: Run, packet: FlvPacket): void {
    if (this.#run !== run) return;
    this.#watch?.note();
    if (packet.kind === 'video') run.pictures += 1;
    if (packet.kind === 'sound' && run.repeatedPackets > 0) run.repeatedPackets -= 1;
    else this.#options.onPacket(packet);
  }

  #died(run: Run, error: AppError): void {
    if (this.#run !== run || this.#over) return;
    this.#dismiss();
    this.#restarting = this.#restart(error).catch((reason) => this.#giveUp(AppError.from(reason)));
  }

  async #restart(reason: AppError): Promise<void> {
    for (let cause = reason; !this.#over; await this.#pause()) {
      if (this.#countDeath() >= MAX_DEATHS) return this.#giveUp(cause);
      try {
        this.#goOn(await this.#launch());
        return;
      } catch (error) {
        cause = AppError.from(error);
      }
    }
  }

  /** Gives the new FFmpeg all that is not settled. */
  #goOn(run: Run): void {
    if (this.#over) {
      this.#discard(run.encoder);
      return;
    }
    this.#run = run;
    this.#watch?.note();
    this.#options.logger.warn({ frame: run.firstFrame, framesAgain: this.framesKept }, 'encoder restarted');
    this.#options.onRestart(run.firstFrame);
    for (const samples of this.#sound.pieces) run.encoder.writeSound(samples);
    for (const i420 of this.#frames.pieces) run.encoder.writeFrames(i420);
  }

  /** Notes that FFmpeg died or did not start. @returns the deaths that count together */
  #countDeath(): number {
    const death = { at: performance.now(), frame: this.#frames.start };
    const together = ({ at, frame }: typeof death) =>
      death.at - at < DEATHS_WITHIN_MILLISECONDS || frame === death.frame;
    this.#deaths = [...this.#deaths.filter(together), death];
    return this.#deaths.length;
  }

  #giveUp(error: AppError): void {
    if (this.#over) return;
    this.#failure = error;
    this.#watch?.stop();
    this.#dismiss();
    this.#forget();
    this.#options.onError(error);
  }

  /** No FFmpeg will be given anything again; whoever owns this may be kept for long. */
  #forget(): void {
    this.#frames.settle(Number.POSITIVE_INFINITY);
    this.#sound.settle(Number.POSITIVE_INFINITY);
  }

  /** Lets go of the FFmpeg at work. */
  #dismiss(): void {
    const run = this.#run;
    this.#run = undefined;
    if (run) this.#discard(run.encoder);
  }

  #discard(encoder: Encoder): void {
    const gone = encoder
      .close()
      .catch((err) => this.#options.logger.warn({ err }, 'encoder not closed cleanly'))
      .finally(() => this.#leaving.delete(gone));
    this.#leaving.add(gone);
  }

  async #pause(): Promise<void> {
    // Ends early when the encoder is closed, which the loop then sees.
    await sleep(RETRY_MILLISECONDS, undefined, { signal: this.#closed.signal }).catch(() => {});
  }

  #hangs(): void {
    const run = this.#run;
    if (!run) return;
    const seconds = this.#options.stallSeconds ?? STALL_SECONDS;
    const error = stoppedUnexpectedly(new Error(`FFmpeg gave nothing out for ${seconds} s.`));
    this.#options.logger.error({ err: error.cause }, 'encoder hung');
    this.#died(run, error);
  }

  /** Whether FFmpeg has all it needs to give something out. */
  #owes(run: Run): boolean {
    if (this.#ending) return true;
    const { fps, soundRate } = this.#options;
    const heard = Math.floor((this.#sound.end / soundRate - SOUND_LEAD_SECONDS) * fps);
    return run.firstFrame + run.pictures < Math.min(this.framesWritten, heard);
  }

  /** Where the sound goes on for a picture that goes on with this frame: packets before are in parts. */
  #firstSample(frame: number): number {
    return packetOf(frame, this.#options) * SOUND_PACKET_SAMPLES;
  }
}

function stoppedUnexpectedly(cause: Error): AppError {
  return new AppError('internal', 'The encoder stopped unexpectedly.', { cause });
}
