import type { HlsStream } from '../hls/hls-stream.js';
import type { LiveSpeech, SoundPosition } from './live-speech.js';
import type { TalkListener } from './talk.js';

/** What was heard before a frame. */
interface HeardBefore {
  readonly position: number;
  readonly place: SoundPosition | undefined;
}

/**
 * Tells how much of a live talk's speech was heard before each segment of its stream, if speech was heard since the one
 * before: a talk that comes back goes on where a segment ends. Where that is changes when another FFmpeg takes over, which
 * goes back to frames that were shown already; so what was heard before those is remembered until they are on disk.
 */
export class HeardSpeech {
  readonly #speech: LiveSpeech;
  readonly #stream: HlsStream;
  /** Before each frame from `#from` on, up to the next one to be shown. */
  readonly #heard: HeardBefore[] = [];
  #from: number | undefined;
  #segmentsFrom = 0;
  #nextEnd = 0;
  #notedPosition = 0;

  constructor(speech: LiveSpeech, stream: HlsStream) {
    this.#speech = speech;
    this.#stream = stream;
  }

  /**
   * Another frame was shown.
   * @param frame the next one
   * @param position where its speech begins, among all samples that were ever taken
   */
  note(frame: number, position: number, listener: TalkListener): void {
    this.#from ??= frame;
    this.#heard.push({ position, place: this.#speech.soundAt(position) });
    const { segmentsFrom, segmentFrames } = this.#stream;
    if (segmentsFrom !== this.#segmentsFrom) {
      this.#segmentsFrom = segmentsFrom;
      this.#nextEnd = segmentsFrom;
    }
    for (; this.#nextEnd <= frame; this.#nextEnd += segmentFrames) this.#tell(this.#nextEnd, listener);
    this.#forget();
  }

  #tell(frame: number, listener: TalkListener): void {
    const heard = this.#heard[frame - this.#from!];
    if (!heard || heard.position === this.#notedPosition) return;
    this.#notedPosition = heard.position;
    if (heard.place) listener.onShown(frame, heard.place.sound, heard.place.seconds);
  }

  /** Nothing takes back what is on disk. */
  #forget(): void {
    const settled = Math.min(this.#stream.framesStored - this.#from!, this.#heard.length);
    if (settled <= 0) return;
    this.#heard.splice(0, settled);
    this.#from! += settled;
  }
}
