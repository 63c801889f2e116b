import type { Part } from './packager.js';

/** File name of a part, counted from 1 over the whole talk, such as `part-00001.m4s`. */
export function partName(number: number): string {
  return `part-${String(number).padStart(5, '0')}.m4s`;
}

/** The number in a part's file name; undefined for every other name. */
export function partNumber(name: string): number | undefined {
  const digits = /^part-(\d{5,15})\.m4s$/.exec(name)?.[1];
  const number = Number(digits);
  return digits !== undefined && partName(number) === name ? number : undefined;
}

/** The bytes of the newest parts, in memory: they are wanted at once, and soon no more. */
export class PartStore {
  readonly #keptFrames: number;
  readonly #parts = new Map<number, Part>();
  #newest: number;

  /**
   * @param keptFrames how far behind the newest part's end a part may end before it is forgotten
   * @param newest number of the last part before the first one here
   */
  constructor(keptFrames: number, newest = 0) {
    this.#keptFrames = keptFrames;
    this.#newest = newest;
  }

  /** Number of the newest part. */
  get newest(): number {
    return this.#newest;
  }

  /** Bytes that are held. */
  get bytes(): number {
    return [...this.#parts.values()].reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  }

  add(part: Part): void {
    this.#parts.set(part.number, part);
    this.#newest = part.number;
    const end = part.firstFrame + part.frames;
    for (const [number, { firstFrame, frames }] of this.#parts) {
      if (end - (firstFrame + frames) <= this.#keptFrames) break;
      this.#parts.delete(number);
    }
  }

  /** The bytes of a part; undefined before it is there and when it is forgotten. */
  get(number: number): Uint8Array | undefined {
    return this.#parts.get(number)?.bytes;
  }
}
