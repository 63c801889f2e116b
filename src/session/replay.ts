import type { PcmAudio } from '../audio/decode.js';
import { soundOfNoted } from './noted-sound.js';
import type { Recovery, Retaken } from './recovery.js';

/** What a session takes in again when it comes back, one thing after the other. */
export class Replay {
  readonly #left: Retaken[];
  readonly #cut: Retaken | undefined;
  readonly #audioSampleRate: number;

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
   * The sound of what is next, without what was heard of it; undefined where it has none.
   * @throws AppError `invalid_audio`
   */
  async sound(): Promise<PcmAudio | undefined> {
    return this.next && soundOfNoted(this.next, this.#audioSampleRate);
  }

  /** Goes on to what follows. */
  advance(): void {
    this.#left.shift();
  }

  /** Seconds at the beginning of a sound that were heard in an earlier life, and are not taken in again. */
  heardSeconds(sound: number): number {
    return this.#cut && this.#cut.sound === sound ? this.#cut.heardSeconds : 0;
  }
}
