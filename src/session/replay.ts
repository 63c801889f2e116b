import type { PcmAudio } from '../audio/decode.js';
import { soundOfNoted } from './noted-sound.js';
import type { Recovery, Retaken } from './recovery.js';

/** What a session takes in again when it comes back, one thing after the other. */
export class Replay {
  readonly #left: Retaken[];
  readonly #cut: Retaken | undefined;
  readonly #audioSampleRate: number;
  #silencing: Promise<number> | undefined;

  /** @param audioSampleRate Hz of headerless PCM */
  constructor({ retaken }: Pick<Recovery, 'retaken'>, audioSampleRate: number) {
    this.#left = [...retaken];
    // One at most: all before it were heard, and nothing of those behind it.
    this.#cut = retaken.find(({ heardSeconds }) => heardSeconds > 0);
    this.#audioSampleRate = audioSampleRate;
  }

  /** What is next; undefined behind the last. */
  get next(): Retaken | undefined {
    return this.#left[0];
  }

  /**
   * The sound of what is next, without what was heard of it; undefined where it has none, or none is wanted any more.
   * @throws AppError `invalid_audio`
   */
  async sound(): Promise<PcmAudio | undefined> {
    const sound = this.#silencing || !this.next ? undefined : await soundOfNoted(this.next, this.#audioSampleRate);
    // It may have been interrupted meanwhile.
    return this.#silencing ? undefined : sound;
  }

  /** Goes on to what follows. */
  advance(): void {
    this.#left.shift();
  }

  /**
   * No more sound is taken in, only the words that lie between; an end stays an end.
   * @returns seconds of sound that are left out
   * @throws AppError `invalid_audio`; Error of the file system
   */
  silence(): Promise<number> {
    if (this.#silencing) return Promise.resolve(0);
    this.#silencing = this.#secondsLeft();
    return this.#silencing;
  }

  /** Resolves when nothing is read any more. */
  async settled(): Promise<void> {
    await this.#silencing?.catch(() => undefined);
  }

  /** Seconds at the beginning of a sound that were heard in an earlier life, and are not taken in again. */
  heardSeconds(sound: number): number {
    return this.#cut && this.#cut.sound === sound ? this.#cut.heardSeconds : 0;
  }

  async #secondsLeft(): Promise<number> {
    let seconds = 0;
    for (const each of [...this.#left]) {
      const sound = await soundOfNoted(each, this.#audioSampleRate);
      if (sound) seconds += sound.samples.length / sound.sampleRate;
    }
    return seconds;
  }
}
