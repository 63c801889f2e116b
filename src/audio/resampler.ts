import * as libsamplerateModule from '@alexanderolsen/libsamplerate-js';
import { yieldToEventLoop } from './yield.js';

type LibsamplerateModule = typeof libsamplerateModule;
// The library is CommonJS: Node's ESM loader offers it as `default`, Jest's CommonJS as the namespace itself.
const { create, ConverterType } =
  'create' in libsamplerateModule
    ? libsamplerateModule
    : (libsamplerateModule as { default: LibsamplerateModule }).default;
type Converter = Awaited<ReturnType<typeof create>>;

/** Bounds one library call, in samples of the faster side: 1 to 2 ms of work on one core. */
const SLICE_SAMPLES = 4096;
/** Input zeros per call while draining; the filter reaches less than this beyond the last sample at 8..192 kHz. */
const DRAIN_SAMPLES = 1024;

/**
 * Converts a stream of samples of any rate, 8000..192000 Hz, to one rate. Stateful: a recording pushed in pieces of any
 * size gives the samples of the whole. Time is kept exactly: output sample n lies at n / outputRate, and after `flush()`
 * ceil(input samples * outputRate / inputRate) samples have come out, summed over all input rates that were pushed.
 *
 * The filter is libsamplerate's SINC_MEDIUM: see docs/decisions/004-resampler.md. Input of the output's own rate passes
 * through unchanged. Calls may overlap; they are carried out in order.
 */
export class Resampler {
  readonly #outputRate: number;
  /** Samples pushed, by rate. */
  readonly #fed = new Map<number, number>();
  #emitted = 0;
  /** Rate of the samples that are inside the filter, 0 for none. */
  #rate = 0;
  #converter: Converter | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** @param outputRate Hz, 8000..192000. */
  constructor(outputRate: number) {
    this.#outputRate = outputRate;
  }

  /**
   * @param samples any number, -1..1, all finite; not kept and not changed.
   * @param inputRate Hz, 8000..192000. A rate other than the last push's first drains the filter.
   * @returns the samples that are ready; the filter holds back about 3 ms (at 16 kHz) until more come or `flush()`.
   *   The array may be `samples` itself where nothing had to be done.
   * @throws Error after `close()`, also when it comes in the middle of a push.
   */
  push(samples: Float32Array, inputRate: number): Promise<Float32Array> {
    return this.#inOrder(async () => {
      if (samples.length === 0) return new Float32Array(0);
      const drained = inputRate === this.#rate ? [] : [await this.#drain()];
      await this.#use(inputRate);
      this.#fed.set(inputRate, (this.#fed.get(inputRate) ?? 0) + samples.length);
      const output = concatenate([...drained, ...(await this.#convert(samples))]);
      this.#emitted += output.length - (drained[0]?.length ?? 0);
      return output;
    });
  }

  /** Ends the stream so far: returns what the filter holds back. A later push begins anew, exactly where this ends. */
  flush(): Promise<Float32Array> {
    return this.#inOrder(() => this.#drain());
  }

  /** Frees the filter. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#converter?.destroy();
    this.#converter = undefined;
  }

  async #use(inputRate: number): Promise<void> {
    if (this.#rate === inputRate) return;
    if (inputRate !== this.#outputRate) {
      // Setting the rate makes the library forget its state.
      if (this.#converter) this.#converter.inputSampleRate = inputRate;
      else this.#converter = await this.#createConverter(inputRate);
    }
    this.#rate = inputRate;
  }

  async #createConverter(inputRate: number): Promise<Converter> {
    const options = { converterType: ConverterType.SRC_SINC_MEDIUM_QUALITY };
    const converter = await create(1, inputRate, this.#outputRate, options);
    if (this.#closed) converter.destroy();
    this.#assertOpen();
    return converter;
  }

  async #convert(samples: Float32Array): Promise<Float32Array[]> {
    if (this.#rate === this.#outputRate) return [samples];
    const step = Math.max(1, Math.floor(SLICE_SAMPLES * Math.min(1, this.#rate / this.#outputRate)));
    const output: Float32Array[] = [];
    for (let at = 0; at < samples.length; at += step) {
      if (at > 0) await yieldToEventLoop();
      this.#assertOpen();
      output.push(this.#converter!.full(samples.subarray(at, at + step)));
    }
    return output;
  }

  /** Feeds silence until everything that is owed has come out, and forgets the state. */
  async #drain(): Promise<Float32Array> {
    const owed = samplesOwed(this.#fed, this.#outputRate) - this.#emitted;
    const output = new Float32Array(owed);
    for (let at = 0; at < owed; ) {
      this.#assertOpen();
      const piece = this.#converter!.full(new Float32Array(DRAIN_SAMPLES));
      output.set(piece.subarray(0, owed - at), at);
      at += piece.length;
    }
    this.#emitted += owed;
    this.#rate = 0;
    return output;
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(() => {
      this.#assertOpen();
      return work();
    });
    this.#queue = result.catch(() => {});
    return result;
  }

  #assertOpen(): void {
    if (this.#closed) throw new Error('The resampler is closed.');
  }
}

/**
 * ceil(sum of samples * outputRate / rate). Whole samples are summed as integers and only the remainders as fractions,
 * so that the sum does not lose precision however long it grows.
 * @param fed samples by rate in Hz.
 */
export function samplesOwed(fed: ReadonlyMap<number, number>, outputRate: number): number {
  let whole = 0;
  let fraction = 0;
  for (const [rate, samples] of fed) {
    const remainder = (samples * outputRate) % rate;
    whole += (samples * outputRate - remainder) / rate;
    fraction += remainder / rate;
  }
  // Two rates below 200 kHz cannot come closer to a whole sample than 2.5e-11 without meeting it.
  return whole + Math.ceil(fraction - 1e-11);
}

function concatenate(pieces: readonly Float32Array[]): Float32Array {
  const filled = pieces.filter((piece) => piece.length > 0);
  if (filled.length === 1) return filled[0];
  const result = new Float32Array(filled.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of filled) {
    result.set(piece, at);
    at += piece.length;
  }
  return result;
}
