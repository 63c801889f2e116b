/** What was received and has to wait its turn: sound, and words about the sound before them. */
export type HeldEntry =
  | { readonly kind: 'samples'; readonly samples: Float32Array }
  | { readonly kind: 'recording'; readonly bytes: Uint8Array }
  | { readonly kind: 'end of utterance' }
  | { readonly kind: 'end of discarded'; readonly epoch: number }
  | { readonly kind: 'finish' }
  | { readonly kind: 'end' };

/** What a word counts, so that many of them are not for nothing. */
const WORD_BYTES = 64;

/** Entries in the order they came, and how many bytes they were on their way here. */
export class HeldSpeech {
  #entries: HeldEntry[] = [];
  #bytes = 0;
  #samples = 0;
  #closed = false;
  #wake: () => void = () => {};

  /** Bytes of all entries. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Samples that are held as such. */
  get samples(): number {
    return this.#samples;
  }

  add(entry: HeldEntry): void {
    if (this.#closed) return;
    this.#entries.push(entry);
    this.#count(entry, 1);
    this.#wake();
  }

  /** The oldest entry, as soon as there is one; it stays until it is dropped or removed. undefined when closed. */
  async first(): Promise<HeldEntry | undefined> {
    while (this.#entries.length === 0 && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#entries[0];
  }

  /** Takes the oldest entry away, unless it was dropped already. */
  remove(entry: HeldEntry): void {
    if (this.#entries[0] !== entry) return;
    this.#entries.shift();
    this.#count(entry, -1);
  }

  /** Makes an entry the oldest one again. */
  putBack(entry: HeldEntry): void {
    if (this.#closed) return;
    this.#entries.unshift(entry);
    this.#count(entry, 1);
  }

  /** Takes away samples, and the ends of utterances. A recording stays: it can only be decoded whole. */
  drop(): { readonly samples: number; readonly utterances: number } {
    const samples = this.#samples;
    const entries = this.#entries;
    let utterances = 0;
    this.#entries = [];
    for (const entry of entries) {
      const isSound = entry.kind === 'samples';
      const isEnd = entry.kind === 'end of utterance';
      if (isEnd) utterances++;
      if (isSound || isEnd) this.#count(entry, -1);
      else this.#entries.push(entry);
    }
    return { samples, utterances };
  }

  /** Forgets all; nothing is held any more. */
  close(): void {
    this.#closed = true;
    this.#entries = [];
    this.#bytes = 0;
    this.#samples = 0;
    this.#wake();
  }

  #count(entry: HeldEntry, sign: 1 | -1): void {
    if (entry.kind === 'samples') {
      this.#samples += sign * entry.samples.length;
      this.#bytes += sign * 2 * entry.samples.length;
    } else {
      this.#bytes += sign * (entry.kind === 'recording' ? entry.bytes.length : WORD_BYTES);
    }
  }
}
