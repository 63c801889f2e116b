import { MODEL_SAMPLE_RATE } from '../audio/audio-chunk-buffer.js';
import type { PcmAudio } from '../audio/decode.js';
import { Resampler } from '../audio/resampler.js';
import { SampleQueue } from '../audio/sample-queue.js';
import { STREAM_SOUND_RATE } from '../hls/hls-stream.js';

/** Samples for the listeners per sample for the model. */
export const SOUND_PER_SAMPLE = STREAM_SOUND_RATE / MODEL_SAMPLE_RATE;

/** A place in what was pushed: `seconds` into sound number `sound`. */
export interface SoundPosition {
  readonly sound: number;
  readonly seconds: number;
}

/** A stretch of the timeline's sound: speech at its beginning, silence behind it. */
export interface TimelineSound {
  /** At 16 kHz. */
  readonly forModel: Float32Array;
  /** At 48 kHz: three times as many. */
  readonly forStream: Float32Array;
  /** Samples of `forModel` that are speech. */
  readonly speechSamples: number;
  /** Where the speech begins, in samples at 16 kHz ever taken. */
  readonly position: number;
}

/**
 * Speech that waits for its place on a live timeline, at both rates.
 *
 * An utterance that is being streamed must not start the moment its first sample is there: the second could come too
 * late. So it starts when its first sample is `delaySeconds` old, or at once where its end is known. Where it runs dry
 * all the same, what comes next is another utterance: nothing is left out and nothing is heard twice.
 */
export class LiveSpeech {
  readonly #delayMilliseconds: number;
  readonly #now: () => number;
  readonly #model = new SampleQueue();
  readonly #sound = new SampleQueue();
  readonly #forModel = new Resampler(MODEL_SAMPLE_RATE);
  readonly #forStream = new Resampler(STREAM_SOUND_RATE);
  /** Samples at 16 kHz that were taken or dropped. */
  #taken = 0;
  /** What is pushed, in samples at 16 kHz: what waits for the filters, and what has gone into them ever. */
  #incoming = 0;
  #filtered = 0;
  /** Where each pushed sound begins among the samples; those that are heard to the end are left out. */
  #marks: { readonly sound: number; readonly position: number }[] = [];
  /** When the first sample that waits came; undefined while an utterance is being taken, or nothing waits. */
  #since: number | undefined;
  #playing = false;
  #ended = false;
  /** Counts interruptions: a push from before one gives up. */
  #epoch = 0;
  /** One thing at a time goes through the filters. */
  #last: Promise<unknown> = Promise.resolve();
  #working = 0;

  /**
   * @param delaySeconds how old the first sample of an utterance must be for it to start
   * @param now a clock in milliseconds
   */
  constructor(delaySeconds: number, now: () => number) {
    this.#delayMilliseconds = delaySeconds * 1000;
    this.#now = now;
  }

  /** Which sound a position among the taken samples lies in. Earlier ones must not be asked for afterwards. */
  soundAt(position: number): SoundPosition | undefined {
    while (this.#marks.length > 1 && this.#marks[1]!.position <= position) this.#marks.shift();
    const [mark] = this.#marks;
    return mark && { sound: mark.sound, seconds: Math.max(0, position - mark.position) / MODEL_SAMPLE_RATE };
  }

  /** Samples at 16 kHz that wait. */
  get waitingSamples(): number {
    return this.#incoming + Math.max(0, this.#filtered - this.#taken);
  }

  /** Takes speech in, a second at a time. @param sound its number, by which `soundAt` knows it */
  push({ samples, sampleRate }: PcmAudio, sound: number): Promise<void> {
    const epoch = this.#epoch;
    const inModel = (count: number) => (count * MODEL_SAMPLE_RATE) / sampleRate;
    this.#incoming += inModel(samples.length);
    return this.#inOrder(async () => {
      this.#marks.push({ sound, position: this.#filtered });
      for (let at = 0; at < samples.length; at += sampleRate) {
        if (epoch !== this.#epoch) return;
        const second = samples.subarray(at, at + sampleRate);
        const forModel = await this.#forModel.push(second, sampleRate);
        const forStream = await this.#forStream.push(second, sampleRate);
        if (epoch === this.#epoch) this.#incoming -= inModel(second.length);
        this.#filtered += inModel(second.length);
        this.#model.append(forModel);
        this.#sound.append(forStream);
        this.#since ??= this.#now();
        this.#ended = false;
      }
    });
  }

  /** Nothing follows what was pushed: lets out what the filters hold. */
  endUtterance(): Promise<void> {
    return this.#inOrder(async () => {
      await this.#drain();
      this.#ended = true;
    });
  }

  /** The next `count` samples of the timeline, at 16 kHz. */
  async take(count: number): Promise<TimelineSound> {
    if (!this.#playing) this.#playing = this.#mayStart();
    if (!this.#playing) return this.#read(0, count);
    // It runs dry. What the filters hold back would otherwise be heard at the head of the next utterance.
    if (this.#ready < count && this.#working === 0) await this.#inOrder(() => this.#drain());
    const speechSamples = Math.min(count, this.#ready);
    const sound = this.#read(speechSamples, count);
    if (this.#ready === 0) {
      this.#playing = false;
      this.#since = undefined;
    }
    return sound;
  }

  /** Drops what waits. @returns samples at 16 kHz */
  async drop(): Promise<number> {
    const dropped = this.waitingSamples;
    this.#epoch++;
    this.#incoming = 0;
    this.#skip();
    await this.#inOrder(async () => {
      await this.#drain();
      this.#skip();
    });
    return Math.round(dropped);
  }

  close(): void {
    this.#forModel.close();
    this.#forStream.close();
  }

  /** Samples at 16 kHz that can be had at both rates. */
  get #ready(): number {
    return Math.min(this.#model.end, Math.floor(this.#sound.end / SOUND_PER_SAMPLE)) - this.#taken;
  }

  #mayStart(): boolean {
    if (this.#ready === 0 || this.#since === undefined) return false;
    return this.#ended || this.#now() - this.#since >= this.#delayMilliseconds;
  }

  /** @param speechSamples how many of the `count` samples come from the queue */
  #read(speechSamples: number, count: number): TimelineSound {
    const to = this.#taken + speechSamples;
    const forModel = new Float32Array(count);
    forModel.set(this.#model.read(this.#taken, to));
    const forStream = new Float32Array(count * SOUND_PER_SAMPLE);
    forStream.set(this.#sound.read(this.#taken * SOUND_PER_SAMPLE, to * SOUND_PER_SAMPLE));
    this.#moveTo(to);
    return { forModel, forStream, speechSamples, position: to - speechSamples };
  }

  #skip(): void {
    this.#moveTo(this.#taken + this.#ready);
    this.#playing = false;
    this.#since = undefined;
  }

  #moveTo(position: number): void {
    this.#taken = position;
    this.#model.forgetBefore(position);
    this.#sound.forgetBefore(position * SOUND_PER_SAMPLE);
  }

  /** Lets out what the filters hold, and fills both queues up to the same instant. */
  async #drain(): Promise<void> {
    this.#model.append(await this.#forModel.flush());
    this.#sound.append(await this.#forStream.flush());
    const samples = Math.max(this.#model.end, Math.ceil(this.#sound.end / SOUND_PER_SAMPLE));
    this.#model.append(new Float32Array(samples - this.#model.end));
    this.#sound.append(new Float32Array(samples * SOUND_PER_SAMPLE - this.#sound.end));
    this.#filtered = samples;
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    this.#working++;
    const result = this.#last.then(work);
    this.#last = result
      .catch(() => undefined)
      .finally(() => {
        this.#working--;
      });
    return result;
  }
}
