import { element } from '../element.js';
import { inSeconds } from '../words.js';
import { EventList } from './event-list.js';
import { Sparkline } from './sparkline.js';

/** @import { SessionEvent } from 'facecast-client' */
/** @import { Screen } from '../screen.js' */

/** Time between two looks at the player, milliseconds. */
const LOOK_MS = 250;
/** So much more than intended behind the newest frame, seconds, is a viewer who looks back, not a slow network. */
const LOOKING_BACK = 3;

/** @param {string} id @param {string} text */
function show(id, text) {
  const place = element(id);
  if (place.textContent !== text) place.textContent = text;
}

/** The numbers, the picture of the latency and the events of a live session. */
export class LiveView {
  #screen;
  #latency = new Sparkline(/** @type {HTMLCanvasElement} */ (element('latency-picture')));
  #events = new EventList(element('events'));
  #timer;

  /** @param {{ screen: Screen, signal: AbortSignal }} parts `signal` hides it */
  constructor({ screen, signal }) {
    this.#screen = screen;
    for (const id of ['latency', 'ahead', 'live-frames', 'queued', 'dropped', 'stalls']) show(`figure-${id}`, '–');
    this.#latency.clear();
    this.#events.clear();
    element('live-readout').hidden = false;
    element('live-player').hidden = false;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    element('live-badge').addEventListener('click', () => screen.goLive(), { signal });
    signal.addEventListener('abort', () => {
      this.over();
      element('live-readout').hidden = true;
    });
  }

  /** There is no edge any more: what follows is a recording. */
  over() {
    clearInterval(this.#timer);
    element('live-badge').hidden = true;
    element('live-player').hidden = true;
  }

  /** @param {number} frames generated so far */
  showFrames(frames) {
    show('figure-live-frames', String(frames));
  }

  /** @param {number} seconds of speech that are accepted and not said */
  showQueue(seconds) {
    show('figure-queued', inSeconds(seconds));
  }

  /** @param {SessionEvent} event */
  showEvent(event) {
    this.#events.add(event);
  }

  #look() {
    const { latency, target, ahead, dropped, stalls } = this.#screen.figures;
    this.#latency.push(latency, target);
    show('figure-latency', latency === undefined ? '–' : inSeconds(latency));
    show('figure-ahead', inSeconds(ahead));
    show('figure-dropped', dropped === undefined ? '–' : String(dropped));
    show('figure-stalls', String(stalls));
    const badge = element('live-badge');
    badge.hidden = latency === undefined;
    const behind = latency !== undefined && latency > (target ?? 1) + LOOKING_BACK;
    badge.dataset.behind = String(behind);
    show('live-badge', behind ? 'Back to live' : 'Live');
  }
}
