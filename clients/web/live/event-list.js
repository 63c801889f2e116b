/** @import { SessionEvent } from 'facecast-client' */

/** Events that are shown. */
const SHOWN = 50;

/**
 * What an event says.
 * @param {SessionEvent} event
 */
export function eventInWords({ type, detail, droppedSeconds }) {
  switch (type) {
    case 'speech_started':
      return 'Speech started';
    case 'speech_ended':
      return 'Speech ended';
    case 'interrupted':
      return droppedSeconds
        ? `Interrupted: ${droppedSeconds.toFixed(1)} s of speech dropped`
        : 'Interrupted: nothing was left to say';
    case 'lagging':
      return detail || 'The service does not keep up';
    case 'error':
      return detail || 'Something went wrong';
    case 'closed':
      return detail || 'The session has ended';
    default:
      return detail || type;
  }
}

/** The list of what happened in a live session, the newest first. */
export class EventList {
  #root;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  clear() {
    this.#root.replaceChildren();
  }

  /** @param {SessionEvent} event */
  add(event) {
    // A machine that is too slow is so for long: its last word stands for the ones before.
    const newest = /** @type {HTMLElement | null} */ (this.#root.firstElementChild);
    if (event.type === 'lagging' && newest?.dataset.type === 'lagging') newest.remove();
    const item = document.createElement('li');
    item.dataset.type = event.type;
    const time = document.createElement('time');
    const date = new Date(event.at * 1000);
    time.dateTime = date.toISOString();
    time.textContent = date.toLocaleTimeString();
    item.append(time, ` ${eventInWords(event)} `);
    this.#root.prepend(item);
    if (this.#root.children.length > SHOWN) this.#root.lastElementChild?.remove();
  }
}
