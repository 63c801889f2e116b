/** Quieter than this is never a voice: root mean square of full scale 1. */
const LEAST_LEVEL = 0.008;
/** A voice is so many times louder than the room. */
const ABOVE_ROOM = 3;
/** Loud blocks in a row that open the gate, so that a click does not. */
const BLOCKS_TO_OPEN = 2;
/** Blocks from before the gate opened that are sent too: the soft beginning of a word. They delay what follows. */
const BLOCKS_BEFORE = 8;
/** Quiet blocks after which the utterance has ended: longer than the pauses within a sentence. */
const BLOCKS_TO_CLOSE = 35;

/**
 * Tells speech from the room's noise, so that an open microphone sends only the speech. Counts in blocks of 20 ms.
 * The room's level is learned: it falls fast with the sound and rises slowly, so that a fan is forgotten after some time
 * and a sentence is not.
 */
export class VoiceGate {
  #room = 0.002;
  #loud = 0;
  #quiet = 0;
  #open = false;
  /** @type {Int16Array[]} */
  #before = [];

  /**
   * @param {Int16Array} block
   * @param {number} level its root mean square, 0 to 1
   * @returns {{ send: Int16Array[], ended: boolean }} what to send now, and whether the utterance ends here
   */
  push(block, level) {
    this.#room += (level - this.#room) * (level < this.#room ? 0.2 : 0.0005);
    const isLoud = level > Math.max(LEAST_LEVEL, this.#room * ABOVE_ROOM);
    this.#loud = isLoud ? this.#loud + 1 : 0;
    this.#quiet = isLoud ? 0 : this.#quiet + 1;
    if (!this.#open) return this.#waitFor(block);
    const ended = this.#quiet >= BLOCKS_TO_CLOSE;
    if (ended) this.#open = false;
    return { send: [block], ended };
  }

  /** @param {Int16Array} block */
  #waitFor(block) {
    this.#before.push(block);
    if (this.#loud < BLOCKS_TO_OPEN) {
      if (this.#before.length > BLOCKS_BEFORE) this.#before.shift();
      return { send: [], ended: false };
    }
    this.#open = true;
    const send = this.#before;
    this.#before = [];
    return { send, ended: false };
  }
}
