import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { now } from '../clock.js';
import { AppError } from '../errors.js';
import type { PcmAudio } from './pcm.js';
import { PcmStream } from './pcm-stream.js';

/** Hz; Opus decodes to this rate whatever it was made from (RFC 6716, 2). */
const SAMPLE_RATE = 48_000;
/**
 * Bytes without a single sample of sound after which this is no recording of speech: 4 MB are a minute of Opus at its
 * highest rate, or ten seconds of a camera's picture beside it.
 */
const MAX_SOUNDLESS_BYTES = 4 * 1024 * 1024;
/** Once the end was written, the rest comes at once or not at all. */
const END_LIMIT_MS = 10_000;
/** Before the first sound FFmpeg has to start, which may take its time on a busy machine. */
const QUIET_AT_START_MS = 10_000;
const LOOK_MS = 20;
/** The first bytes of every WebM (RFC 8794, 11.2.1): without them FFmpeg would go on looking for a beginning. */
const MAGIC = Buffer.from('1a45dfa3', 'hex');

/**
 * FFmpeg's arguments: Opus in WebM from standard input, every packet decoded and written as soon as it is there.
 *
 * As in `ffmpegArguments` for files, the demuxer is named and not guessed, no protocol but `pipe` and no decoder but Opus
 * can be opened, and only the first sound track is looked at. `-probesize 32 -analyzeduration 0` begins without collecting
 * a few seconds first; Opus' header says all there is to know. 16 bits come out, so nothing is infinite or beyond full scale.
 */
export const STREAM_DECODER_ARGUMENTS: readonly string[] = [
  ...['-hide_banner', '-loglevel', 'error', '-nostdin', '-threads', '1'],
  ...['-protocol_whitelist', 'pipe', '-codec_whitelist', 'opus,libopus'],
  ...['-fflags', 'nobuffer', '-flags', 'low_delay', '-probesize', '32', '-analyzeduration', '0'],
  ...['-f', 'matroska', '-i', 'pipe:0'],
  ...['-map', '0:a:0', '-vn', '-sn', '-dn', '-map_metadata', '-1'],
  ...['-af', `aresample=${SAMPLE_RATE}:rematrix_maxval=1,aformat=sample_fmts=s16:channel_layouts=mono`],
  ...['-c:a', 'pcm_s16le', '-flush_packets', '1', '-f', 's16le', 'pipe:1'],
];

export interface StreamDecoderOptions {
  /**
   * Takes sound as it comes: mono, 48 kHz, at least one sample. While the promise is pending nothing more is read, and
   * soon nothing more is taken in: what waits is what fits into two pipes.
   */
  readonly onSound: (sound: PcmAudio) => Promise<void>;
  /** FFmpeg's command, looked up in PATH. */
  readonly program?: string;
}

/**
 * Decodes one recording while it is being made, as a browser's MediaRecorder hands it out: one FFmpeg process that lives as
 * long as this object. Broken sound inside is skipped as FFmpeg skips it; `ended` rejects where there is none.
 */
export class StreamDecoder {
  /**
   * Resolves when the recording was ended and all its sound taken, or when the decoder was closed.
   * Rejects with AppError `invalid_audio` when this is no Opus in WebM; `internal` when FFmpeg cannot be started; or with
   * what `onSound` threw.
   */
  readonly ended: Promise<void>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #onSound: StreamDecoderOptions['onSound'];
  /** Bytes written since sound came out last. */
  #soundless = 0;
  /** Milliseconds; when sound came out last. */
  #lastSound = 0;
  #taking = false;
  #bytes = 0;
  #anySound = false;
  #ending = false;
  #closed = false;
  #fault: unknown;
  #endTimer: NodeJS.Timeout | undefined;

  constructor({ onSound, program = 'ffmpeg' }: StreamDecoderOptions) {
    this.#onSound = onSound;
    this.#child = spawn(program, STREAM_DECODER_ARGUMENTS, { stdio: ['pipe', 'pipe', 'pipe'] });
    // FFmpeg may refuse before it has read everything; its exit says why.
    this.#child.stdin.on('error', () => {});
    this.ended = this.#run();
    this.ended.catch(() => {});
  }

  /** Hands bytes on. Resolves when FFmpeg has room for more; after the decoder's end they are ignored. */
  async write(bytes: Uint8Array): Promise<void> {
    if (!this.#open || bytes.length === 0) return;
    const head = MAGIC.subarray(this.#bytes, this.#bytes + bytes.length);
    this.#bytes += bytes.length;
    this.#soundless += bytes.length;
    if (!head.equals(bytes.subarray(0, head.length)) || this.#soundless > MAX_SOUNDLESS_BYTES) {
      this.#fail(notSpeech());
      return;
    }
    if (!this.#child.stdin.write(bytes)) await this.#drained();
  }

  /**
   * Resolves when all sound of what was written has been taken: as far as one can tell, for FFmpeg does not say. It decodes a
   * second of Opus in a few milliseconds, so when it has been silent for so long it has nothing left, or no processor.
   */
  async settle(quietMilliseconds: number): Promise<void> {
    let since = now();
    while (this.#open && this.#bytes > 0) {
      const quiet = now() - Math.max(since, this.#lastSound);
      if (this.#taking || this.#child.stdin.writableLength > 0) since = now();
      else if (quiet >= (this.#anySound ? quietMilliseconds : QUIET_AT_START_MS)) return;
      await sleep(LOOK_MS);
    }
  }

  /** Ends the recording. @returns `ended` */
  end(): Promise<void> {
    if (this.#open) {
      this.#ending = true;
      this.#child.stdin.end();
      if (!this.#taking) this.#watchEnd();
    }
    return this.ended;
  }

  /** Ends FFmpeg at once. Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#endTimer);
    this.#child.kill('SIGKILL');
  }

  /** Of FFmpeg's process; undefined where it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  get #open(): boolean {
    return !this.#closed && this.#fault === undefined && this.#child.stdin.writable;
  }

  async #run(): Promise<void> {
    const { stdout, stderr } = this.#child;
    let diagnosis = '';
    stderr.on('data', (piece: Buffer) => {
      if (diagnosis.length < 2000) diagnosis += piece.toString();
    });
    const exit = new Promise<number | null>((resolve, reject) => {
      this.#child.once('error', (cause) => reject(new AppError('internal', 'FFmpeg cannot be started.', { cause })));
      this.#child.once('close', resolve);
    });
    exit.catch(() => {});
    const pcm = new PcmStream();
    try {
      for await (const piece of stdout) {
        if (this.#closed) break;
        const samples = pcm.push(piece);
        if (samples.length > 0) await this.#take(samples);
      }
      const code = await exit;
      if (this.#closed) return;
      // Nothing at all is no error, and what was cut off in the middle of a packet is decoded as far as it goes.
      if (this.#ending && (this.#anySound || this.#bytes === 0)) return;
      // FFmpeg's own words go to the log with the cause, never to the client.
      throw notSpeech(new Error(`FFmpeg ended with ${code}: ${diagnosis}`));
    } catch (error) {
      if (this.#closed) return;
      throw this.#fault ?? error;
    } finally {
      this.close();
    }
  }

  async #take(samples: Float32Array): Promise<void> {
    clearTimeout(this.#endTimer);
    this.#anySound = true;
    this.#soundless = 0;
    this.#taking = true;
    try {
      await this.#onSound({ sampleRate: SAMPLE_RATE, samples });
    } finally {
      this.#taking = false;
      this.#lastSound = now();
    }
    if (this.#ending && !this.#closed) this.#watchEnd();
  }

  #watchEnd(): void {
    clearTimeout(this.#endTimer);
    this.#endTimer = setTimeout(() => this.#fail(notSpeech()), END_LIMIT_MS);
  }

  #fail(error: AppError): void {
    this.#fault ??= error;
    this.#child.kill('SIGKILL');
  }

  #drained(): Promise<void> {
    const { stdin } = this.#child;
    return new Promise((resolve) => {
      const done = () => {
        stdin.off('drain', done).off('close', done);
        resolve();
      };
      stdin.once('drain', done).once('close', done);
    });
  }
}

function notSpeech(cause?: unknown): AppError {
  return new AppError(
    'invalid_audio',
    'The recording holds no sound that can be decoded, or broke off; one continuous recording of Opus in WebM is taken.',
    {
      cause,
    },
  );
}
