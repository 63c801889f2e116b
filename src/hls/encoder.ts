import type { ChildProcess } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import ffmpeg, { type FfmpegCommand } from 'fluent-ffmpeg';
import { AppError } from '../errors.js';
import type { Logger } from '../log.js';
import { type EncoderFormat, encoderArguments } from './encoder-arguments.js';
import { EncoderInput } from './encoder-input.js';
import { EncoderOutput } from './encoder-output.js';
import { FlvDemuxer, type FlvPacket } from './flv.js';
import { makeSocketFolder } from './socket-folder.js';
import { sampleOf } from './time-grid.js';

/** Frames that may wait for FFmpeg before `drained` makes the caller wait: 3 MB at 512x512. */
const MAX_QUEUED_FRAMES = 8;

export interface EncoderOptions extends EncoderFormat {
  /** The FFmpeg program, looked for on PATH when it is a plain name; `ffmpeg` when absent. */
  readonly program?: string;
  readonly logger: Pick<Logger, 'error'>;
  /**
   * Called with every encoded packet, in order within the picture and within the sound. The packet that primes the AAC
   * decoder is taken off, so sound packet n holds samples 1024n to 1024n + 1023 of what was written.
   */
  readonly onPacket: (packet: FlvPacket) => void;
  /** Called once when FFmpeg stops without being asked to. */
  readonly onError: (error: AppError) => void;
}

/**
 * One long-lived FFmpeg process that encodes one talk: I420 frames to H.264, sound to AAC. It is driven through
 * fluent-ffmpeg, which is archived upstream: this file is its only importer.
 *
 * Sound is to be written before the frames it belongs to. FFmpeg takes picture and sound in step, about 90 ms of sound
 * ahead: where the sound ends, the last frames wait for more of it, or for `end`.
 */
export class Encoder {
  readonly #options: EncoderOptions;
  readonly #folder: string;
  readonly #command: FfmpegCommand;
  readonly #exited: Promise<void>;
  readonly #frameBytes: number;
  #frames!: EncoderInput;
  #sound!: EncoderInput;
  #outputs: EncoderOutput[] = [];
  #framesWritten = 0;
  /** Where the sound ends, in samples from the start of the first frame. */
  #soundEnd: number;
  #started = false;
  #primed = false;
  #ending = false;
  #closed = false;
  #failure: AppError | undefined;
  #waiters: { resolve: () => void; reject: (error: AppError) => void }[] = [];

  private constructor(options: EncoderOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.#soundEnd = options.soundOffset ?? 0;
    this.#frameBytes = (options.width * options.height * 3) / 2;
    // The same FFmpeg that was checked at start; fluent-ffmpeg would listen to FFMPEG_PATH.
    this.#command = ffmpeg().setFfmpegPath(options.program ?? 'ffmpeg');
    this.#exited = new Promise((resolve) => {
      this.#command.on('end', () => {
        resolve();
        if (!this.#ending) this.#fail(new Error('FFmpeg left before the end of the talk.'));
      });
      this.#command.on('error', (error: Error, _stdout: string | null, stderr: string | null) => {
        resolve();
        this.#fail(new Error(`${error.message}\n${(stderr ?? '').slice(-2000)}`, { cause: error }));
      });
    });
  }

  /**
   * Starts FFmpeg.
   * @throws AppError `internal` when it does not start.
   */
  static async open(options: EncoderOptions): Promise<Encoder> {
    const encoder = new Encoder(options, await makeSocketFolder());
    try {
      await encoder.#start();
    } catch (cause) {
      await encoder.close();
      throw AppError.from(cause);
    }
    return encoder;
  }

  /** FFmpeg's process id while it runs. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get #process(): ChildProcess | undefined {
    // fluent-ffmpeg keeps it on the command without declaring it.
    return (this.#command as unknown as { ffmpegProc?: ChildProcess }).ffmpegProc;
  }

  get framesWritten(): number {
    return this.#framesWritten;
  }

  /** @param samples mono at the sound rate, -1..1; louder is clipped. */
  writeSound(samples: Float32Array): void {
    const pcm = new Int16Array(samples.length);
    for (let i = 0; i < samples.length; i++) pcm[i] = Math.round(Math.max(-1, Math.min(1, samples[i])) * 32767);
    this.#soundEnd += samples.length;
    this.#sound.write(new Uint8Array(pcm.buffer));
  }

  /** @param i420 whole frames, one after the other, each width * height * 3/2 bytes; not to be changed afterwards. */
  writeFrames(i420: Uint8Array): void {
    if (i420.byteLength % this.#frameBytes !== 0) throw new RangeError('Not a whole number of frames.');
    this.#framesWritten += i420.byteLength / this.#frameBytes;
    this.#frames.write(i420);
  }

  /**
   * Resolves when no more than a few frames wait for FFmpeg, so that a caller faster than the encoder waits here.
   * @throws AppError the encoder's error once it failed, `session_closed` after `close`.
   */
  async drained(): Promise<void> {
    this.#assertAlive();
    if (this.#isDrained()) return;
    await new Promise<void>((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /**
   * Ends the talk; sound that is shorter than the picture is filled up with silence.
   * Resolves when every encoded packet was handed to `onPacket`.
   * @throws AppError as `drained` does.
   */
  async end(): Promise<void> {
    this.#assertAlive();
    if (this.#ending) return;
    this.#ending = true;
    if (this.#framesWritten === 0) {
      this.#command.kill('SIGKILL'); // FFmpeg calls an empty input an error
      await this.#exited;
      return;
    }
    const missing = this.#picture(this.#framesWritten) - this.#soundEnd;
    if (missing > 0) this.writeSound(new Float32Array(missing));
    this.#sound.end();
    this.#frames.end();
    await this.#exited;
    this.#assertAlive();
    await Promise.all(this.#outputs.map((output) => output.ended));
    this.#assertAlive();
  }

  /** Kills FFmpeg if it still runs, and removes the sockets. Resolves when nothing is left. */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#release();
      this.#wake(new AppError('session_closed', 'The session was closed.'));
    }
    if (this.#started) await this.#exited;
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    const sockets = {
      frames: join(this.#folder, 'frames'),
      sound: join(this.#folder, 'sound'),
      video: join(this.#folder, 'video'),
      audio: join(this.#folder, 'audio'),
    };
    const onTaken = () => this.#onTaken();
    this.#frames = await EncoderInput.listen(sockets.frames, onTaken);
    this.#sound = await EncoderInput.listen(sockets.sound, onTaken);
    for (const path of [sockets.video, sockets.audio]) {
      const demuxer = new FlvDemuxer();
      this.#outputs.push(await EncoderOutput.listen(path, (chunk) => this.#receive(demuxer, chunk)));
    }
    const { inputs, outputs } = encoderArguments(this.#options, sockets);
    for (const { url, options } of inputs) this.#command.input(url).inputOptions([...options]);
    for (const { url, options } of outputs) this.#command.output(url).outputOptions([...options]);
    await new Promise<void>((resolve, reject) => {
      this.#command.once('start', () => {
        // Where the system cannot make the process, fluent-ffmpeg's own listener throws, which would end the service.
        this.#process
          ?.removeAllListeners('error')
          .on('error', (error) => this.#command.emit('error', error, null, null));
        if (this.pid === undefined) return; // the error follows
        this.#started = true;
        resolve();
      });
      this.#command.once('error', () => reject(this.#failure));
      this.#command.run();
    });
  }

  #receive(demuxer: FlvDemuxer, chunk: Buffer): void {
    if (this.#closed || this.#failure) return;
    try {
      for (const packet of demuxer.push(chunk)) {
        // FFmpeg's AAC encoder begins with 1024 samples of its own (AVCodecContext.initial_padding): its first packet.
        if (packet.kind === 'sound' && !this.#primed) this.#primed = true;
        else this.#options.onPacket(packet);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Sound samples that last as long as so many frames. */
  #picture(frames: number): number {
    return sampleOf(frames, this.#options);
  }

  /**
   * Only what both picture and sound cover is waited for: FFmpeg takes the two in step, so what one has more than the
   * other stays queued until the other catches up, and waiting for that would be waiting for the caller itself.
   */
  #isDrained(): boolean {
    const covered = Math.min(this.#picture(this.#framesWritten), this.#soundEnd);
    const pictureTaken = this.#picture(this.#framesWritten - this.#frames.queuedBytes / this.#frameBytes);
    const soundTaken = this.#soundEnd - this.#sound.queuedBytes / 2;
    return covered - Math.min(pictureTaken, soundTaken) <= this.#picture(MAX_QUEUED_FRAMES);
  }

  #onTaken(): void {
    if (this.#waiters.length === 0 || !this.#isDrained()) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { resolve } of waiters) resolve();
  }

  #wake(error: AppError): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { reject } of waiters) reject(error);
  }

  #assertAlive(): void {
    if (this.#failure) throw this.#failure;
    if (this.#closed) throw new AppError('session_closed', 'The session was closed.');
  }

  #fail(cause: unknown): void {
    if (this.#closed || this.#failure || (this.#ending && this.#framesWritten === 0)) return;
    this.#failure = new AppError('internal', 'The encoder stopped unexpectedly.', { cause });
    this.#options.logger.error({ err: cause }, 'encoder failed');
    this.#release();
    this.#wake(this.#failure);
    if (this.#started) this.#options.onError(this.#failure);
  }

  #release(): void {
    if (this.pid !== undefined) this.#command.kill('SIGKILL');
    this.#frames?.close();
    this.#sound?.close();
    for (const output of this.#outputs) output.close();
  }
}
