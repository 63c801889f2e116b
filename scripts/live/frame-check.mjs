// Whether every place of a stream has its frame.

/** Counts pictures that are where they belong, and those that are not. */
export class FrameCheck {
  frames = 0;
  /** An earlier picture stood in for one that was not drawn in time; the service tells of it as `lagging`. */
  late = 0;
  unread = 0;
  /** Places of pictures that come before their time, or go back behind one that was shown. */
  outOfPlace = [];
  #shown = -1;

  /** @param codes of the pictures from the place `firstFrame` on; undefined where one could not be read */
  add({ firstFrame, codes }) {
    if (firstFrame !== this.frames) throw new RangeError(`Frames from ${firstFrame} on, but ${this.frames} is next.`);
    for (const code of codes) {
      const place = this.frames++;
      if (code === undefined) this.unread++;
      else if (code.frame > place || code.frame < this.#shown) this.outOfPlace.push(place);
      else {
        if (code.frame < place) this.late++;
        this.#shown = code.frame;
      }
    }
  }
}
