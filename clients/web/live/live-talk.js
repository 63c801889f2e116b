import { element } from '../element.js';
import { pageUrl } from '../snippets.js';
import { Talk } from '../talk.js';
import { LiveConsole } from './live-console.js';
import { liveCurlLines, liveEmbedding } from './live-snippets.js';
import { LiveSpeech } from './live-speech.js';
import { LiveView } from './live-view.js';
import { machineSampleRate } from './microphone.js';
import { untilWhole } from './until-whole.js';

/** @import { FacecastSession, InitOptions, SessionEvent, SessionStatus } from 'facecast-client' */
/** @import { RecordingPicker } from '../recording-picker.js' */
/** @import { Stage } from '../talk.js' */

const WHOLE = 'Fetching the whole talk …';

/** A live session: its clock goes on until it is stopped, whether somebody speaks or not. */
export class LiveTalk extends Talk {
  #recording;
  #console;
  #view;
  /** @type {LiveSpeech | undefined} */
  #speech;
  /** Whether all of it is kept; undefined where another has opened it. @type {boolean | undefined} */
  #record;
  #speaking = false;
  /** Whether the viewer has stopped it, and it has not ended yet. */
  #ending = false;
  /** @type {SessionStatus['status']} */
  #state = 'waiting_for_audio';

  /** @param {Stage} stage @param {RecordingPicker} recording */
  constructor(stage, recording) {
    super(stage);
    this.#recording = recording;
    const { screen } = stage;
    const { signal } = this;
    this.#console = new LiveConsole({ recording, screen, signal });
    this.#view = new LiveView({ screen, signal });
  }

  /**
   * Goes live, until the session has ended.
   * @param {File} image
   * @param {InitOptions} options
   * @throws FacecastError; the signal's reason
   */
  async make(image, options) {
    // At the machine's own rate the microphone's sound needs no resampling here, and keeps its quality.
    const all = { ...options, live: true, audioSampleRate: machineSampleRate() };
    this.#record = options.record ?? false;
    const session = await this.open(image, all);
    const names = { portrait: image.name, recording: this.#recording.file?.name ?? 'speech.wav' };
    history.replaceState(null, '', `?session=${session.id}`);
    await this.#run(session, liveCurlLines(all, names));
  }

  /**
   * Comes back to one that is there already.
   * @param {FacecastSession} session
   * @param {SessionStatus} status
   * @throws FacecastError; the signal's reason
   */
  async reopen(session, status) {
    this.session = session;
    this.#show(status);
    await this.#run(session, undefined);
  }

  /** Ends the timeline where the talk is kept, so that it can be watched again and downloaded. @override */
  async stop() {
    // What may be kept is not thrown away.
    if (!this.session || this.#record === false || this.#over) return 'leave';
    if (this.#ending) return 'stay';
    this.#speech?.closeMicrophone();
    this.#ending = true;
    this.#say();
    // What is still to be said is not: the end is now. It comes all the same where that fails.
    await this.#interrupt().catch(() => undefined);
    await this.session.finish({ signal: this.signal });
    return 'stay';
  }

  get #over() {
    return this.#state === 'complete' || this.#state === 'error';
  }

  /** @param {FacecastSession} session @param {string | undefined} curl */
  async #run(session, curl) {
    const { stage, signal } = this;
    const url = session.multivariantUrl;
    const snippets = { page: pageUrl(session.id), hls: url, embed: liveEmbedding(url) };
    stage.view.opened(session, curl ? { ...snippets, curl } : snippets);
    // There is no saying how long it will be until it is complete.
    stage.view.hideDownload(true);
    if (!this.#over) {
      this.watch(url, { live: true, waitText: 'Going live …' });
      this.#connect(session);
    }
    this.#listen(session);
    await session.waitUntilComplete({ signal, pollSeconds: 1, onProgress: (status) => this.#show(status) });
    await this.#showRecording(session);
  }

  /** @param {FacecastSession} session */
  #connect(session) {
    const { stage, signal } = this;
    this.#speech = new LiveSpeech(session, {
      signal,
      attach: () => stage.client.attach(session.id, { audioSampleRate: session.audioSampleRate }),
      onQueue: (seconds) => this.#view.showQueue(seconds),
      onLevel: (level) => this.#console.showLevel(level),
      onError: (error) => this.#console.showError(error),
    });
    this.#console.connect(this.#speech);
    // A session has one speaker at a time, and who only watches is none.
    if (this.own) this.#speech.prepare();
    const interrupt = () => this.#interrupt().catch((error) => !signal.aborted && this.#console.showError(error));
    const button = element('interrupt');
    button.hidden = false;
    button.addEventListener('click', interrupt, { signal });
    addEventListener(
      'keydown',
      ({ key }) => {
        // A dialogue has its own use for the key.
        if (key === 'Escape' && !button.hidden && !document.querySelector('dialog[open]')) interrupt();
      },
      { signal },
    );
    signal.addEventListener('abort', () => {
      button.hidden = true;
    });
  }

  async #interrupt() {
    await this.#speech?.interrupt();
  }

  /** Tells what happens for as long as the session is open. @param {FacecastSession} session */
  async #listen(session) {
    try {
      for await (const event of session.events({ signal: this.signal, after: 0 })) this.#take(event);
    } catch (error) {
      if (!this.signal.aborted && !this.#over) this.#console.showError(error);
    }
  }

  /** @param {SessionEvent} event */
  #take(event) {
    this.#view.showEvent(event);
    if (event.type === 'speech_started') this.#speaking = true;
    if (event.type === 'speech_ended' || event.type === 'interrupted') this.#speaking = false;
    this.#say();
  }

  /** @param {SessionStatus} status */
  #show({ status, total_frames_generated: frames, queued_seconds: queued }) {
    this.#state = status;
    this.#view.showFrames(frames);
    this.#view.showQueue(queued);
    this.#say();
  }

  #say() {
    const { view } = this.stage;
    if (this.#state === 'error') view.say('The session has stopped.', 'done');
    else if (this.#state === 'complete')
      view.say(this.#record ? 'The talk is over, and kept.' : 'The talk is over.', 'done');
    else if (this.#ending) view.say('Ending the talk …', 'busy');
    else view.say(this.#speaking ? 'Live: speaking …' : 'Live: listening …', 'busy');
  }

  /** What is left after the end. @param {FacecastSession} session */
  async #showRecording(session) {
    const { screen, view } = this.stage;
    this.#console.end();
    this.#view.over();
    element('interrupt').hidden = true;
    view.setComplete(true);
    if (this.#record === false) return;
    view.hideDownload(false);
    screen.wait(WHOLE);
    await untilWhole(session.hlsUrl, this.signal);
    // From its start, when the viewer wishes.
    this.watch(session.hlsUrl, { autoplay: false, waitText: WHOLE });
  }
}
