import { ProgressView } from './progress-view.js';
import { curlLines, embedding, pageUrl } from './snippets.js';
import { Talk } from './talk.js';

/** @import { FacecastSession, InitOptions, SessionStatus } from 'facecast-client' */

/** A talk that is made from one recording and ends with it. */
export class RecordedTalk extends Talk {
  /** @type {ProgressView | undefined} */
  #progress;

  /**
   * Makes it, and follows it to its end.
   * @param {{ image: File, audio: File, seconds: number | undefined }} material `seconds` is the recording's length
   * @param {{ options: InitOptions, pace: 'realtime' | 'full' }} tuning
   * @throws FacecastError; the signal's reason
   */
  async make({ image, audio, seconds }, { options, pace }) {
    const since = performance.now();
    this.#progress = new ProgressView(seconds);
    const session = await this.open(image, options);
    const names = { portrait: image.name, recording: audio.name };
    this.#opened(session, curlLines(options, names));
    history.replaceState(null, '', `?session=${session.id}`);
    this.#watch(session, since);
    this.unfinished = true;
    await Promise.all([session.stream(audio, { pace, signal: this.signal }), this.#follow(session)]);
    this.unfinished = false;
  }

  /**
   * Comes back to one that is there already.
   * @param {FacecastSession} session
   * @param {SessionStatus} status
   * @throws FacecastError; the signal's reason
   */
  async reopen(session, status) {
    this.session = session;
    this.#progress = new ProgressView(undefined);
    this.#opened(session);
    this.#show(status);
    this.#watch(session, performance.now());
    await this.#follow(session);
  }

  /** @override @param {{ remove: boolean }} options */
  end(options) {
    super.end(options);
    this.#progress?.clear();
  }

  /** @param {FacecastSession} session @param {string} [curl] */
  #opened(session, curl) {
    const snippets = { page: pageUrl(session.id), hls: session.hlsUrl, embed: embedding(session.hlsUrl) };
    this.stage.view.opened(session, curl ? { ...snippets, curl } : snippets);
  }

  /** @param {FacecastSession} session @param {number} since */
  #watch(session, since) {
    this.watch(session.hlsUrl, {
      waitText: 'Waiting for the first words …',
      onFirstPicture: () => this.#progress?.firstPicture(performance.now() - since),
    });
  }

  /** Shows what the service does until the last frame is there. @param {FacecastSession} session */
  async #follow(session) {
    await session.waitUntilComplete({
      signal: this.signal,
      pollSeconds: 0.3,
      onProgress: (status) => this.#show(status),
    });
  }

  /** @param {SessionStatus} status */
  #show(status) {
    this.#progress?.progress(status);
    this.stage.view.setComplete(status.status === 'complete');
    this.stage.view.say(...stateInWords(status));
  }
}

/** @param {SessionStatus} status @returns {[string, 'busy' | 'done']} */
function stateInWords({ status, total_frames_generated: frames }) {
  if (status === 'complete') return ['All of it is rendered.', 'done'];
  if (status === 'error') return ['The talk has stopped.', 'done'];
  if (frames === 0) return ['Listening …', 'busy'];
  return [status === 'processing' ? 'Speaking …' : 'Waiting for more words …', 'busy'];
}
