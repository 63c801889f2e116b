/** @import { FacecastClient, FacecastSession, InitOptions } from 'facecast-client' */
/** @import { Screen } from './screen.js' */
/** @import { TalkView } from './talk-view.js' */

/** @typedef {{ client: FacecastClient, screen: Screen, view: TalkView }} Stage where talks are shown */

/** One talk on the screen, from the wish to have it to its end. */
export class Talk {
  /** @type {FacecastSession | undefined} */
  session;
  /** Whether this page made it; another's is never deleted unasked. */
  own = false;
  /** Whether leaving the page now would cut it short. */
  unfinished = false;
  #work = new AbortController();

  /** @param {Stage} stage */
  constructor(stage) {
    this.stage = stage;
  }

  /** Aborts when the talk is left. */
  get signal() {
    return this.#work.signal;
  }

  /**
   * @param {File} image the portrait
   * @param {InitOptions} options
   * @returns {Promise<FacecastSession>}
   */
  async open(image, options) {
    const { client, screen, view } = this.stage;
    screen.wait('Reading the portrait …');
    view.say('Reading the portrait …', 'busy');
    this.session = await client.init(image, { ...options, signal: this.signal });
    this.own = true;
    return this.session;
  }

  /**
   * Shows the stream as soon as there is one.
   * @param {string} url
   * @param {{ live?: boolean, autoplay?: boolean, waitText: string, onFirstPicture?: () => void }} options
   */
  watch(url, { waitText, onFirstPicture, ...options }) {
    const { screen, view } = this.stage;
    const { signal } = this;
    screen.wait(waitText);
    screen.play(url, {
      ...options,
      signal,
      onFirstPicture: () => {
        screen.wait();
        onFirstPicture?.();
      },
      onError: (error) => {
        if (signal.aborted) return;
        screen.wait();
        view.fail({ code: 'stream', detail: error.message });
      },
    });
  }

  /** The viewer's wish to stop. @returns {Promise<'leave' | 'stay'>} whether the talk has nothing left to show */
  async stop() {
    return 'leave';
  }

  /**
   * Lets go of it.
   * @param {{ remove: boolean }} options whether the service shall delete the talk; nobody waits for that, and what it
   *   does not hear of it deletes by itself after a while
   */
  end({ remove }) {
    this.#work.abort();
    this.unfinished = false;
    if (remove) this.session?.cleanup({ maxAttempts: 1 }).catch(() => undefined);
  }
}
