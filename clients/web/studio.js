import { FacecastClient } from 'facecast-client';
import { Picker } from './picker.js';
import { Screen } from './screen.js';
import { copy } from './snippets.js';
import { TalkView } from './talk-view.js';
import { readTuning, showValues } from './tuning.js';
import { decode, drawWaveform } from './waveform.js';
import { inSeconds } from './words.js';

/** @import { FacecastSession, SessionStatus } from 'facecast-client' */

/** @template {HTMLElement} [T=HTMLElement] @param {string} selector @returns {T} */
const find = (selector) => /** @type {T} */ (document.querySelector(selector));

const form = /** @type {HTMLFormElement} */ (find('#form'));
const speak = /** @type {HTMLButtonElement} */ (find('#speak'));
const screen = new Screen();
const view = new TalkView();
const client = new FacecastClient(new URL('.', import.meta.url), {
  onRetry: ({ error, waitSeconds }) => {
    // A chunk that has to wait is nothing to speak of while the talk goes on.
    if (session && error.status === 429) return;
    view.say(`${error.detail} Trying again in ${Math.ceil(waitSeconds)} s …`, 'busy');
  },
});

/** The talk on the screen. @type {FacecastSession | undefined} */
let session;
/** Whether this page made it; another's is never deleted unasked. */
let own = false;
/** Ends what is being done for it. */
let work = new AbortController();
let feeding = false;
/** Length of the chosen recording in seconds, where this browser can tell. @type {number | undefined} */
let recordingSeconds;
/** Its sound, as far as it could be decoded. @type {AudioBuffer | undefined} */
let recordingSound;

const thumbnail = /** @type {HTMLImageElement} */ (find('#portrait .thumb img'));
const portrait = new Picker(find('#portrait'), {
  accepts: /^image\/(png|jpeg|webp)\b/,
  refusal: 'choose a PNG, JPEG or WebP picture.',
  sampleUrl: new URL('samples/portrait.jpg', import.meta.url).href,
  onRefuse: refuse,
  onChoose: (file) => {
    if (thumbnail.src) URL.revokeObjectURL(thumbnail.src);
    thumbnail.src = URL.createObjectURL(file);
    thumbnail.hidden = false;
    view.clearError();
    if (!session) screen.showPortrait(thumbnail.src);
  },
});
portrait.acceptDrops(screen.root);

const recording = new Picker(find('#recording'), {
  accepts: /\.(wav|mp3|flac|ogg|oga|opus|webm|m4a|mp4|aac|pcm|raw)$/i,
  refusal: 'choose WAV, MP3, FLAC, Ogg, WebM, M4A or AAC sound.',
  sampleUrl: new URL('samples/speech.wav', import.meta.url).href,
  onRefuse: refuse,
  onChoose: showRecording,
});

/** @param {string} message */
function refuse(message) {
  view.fail({ code: 'wrong_file', detail: message });
}

const loudspeaker = new Audio();
const listen = /** @type {HTMLButtonElement} */ (find('#listen'));
listen.addEventListener('click', () => (loudspeaker.paused ? loudspeaker.play() : loudspeaker.pause()));
for (const event of ['play', 'pause', 'ended']) {
  loudspeaker.addEventListener(event, () => {
    listen.textContent = loudspeaker.paused ? 'Listen' : 'Pause';
  });
}

/** @param {File} file */
async function showRecording(file) {
  view.clearError();
  loudspeaker.pause();
  if (loudspeaker.src) URL.revokeObjectURL(loudspeaker.src);
  loudspeaker.src = URL.createObjectURL(file);
  const decoded = await decode(file);
  if (recording.file !== file) return;
  recordingSeconds = decoded?.duration;
  recordingSound = decoded;
  listen.hidden = !decoded;
  if (decoded) recording.describe(undefined, `${inSeconds(decoded.duration)} long`);
  showWaveform();
}

function showWaveform() {
  drawWaveform(/** @type {HTMLCanvasElement} */ (find('#recording canvas')), recordingSound);
}
// The canvas does not know that its colour has changed.
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', showWaveform);

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  if (speak.disabled) return;
  if (!form.checkValidity()) {
    /** @type {HTMLDetailsElement} */ (find('#advanced')).open = true;
    form.reportValidity();
    return;
  }
  if (!portrait.file || !recording.file) {
    view.fail({ code: 'no_file', detail: `Choose a ${portrait.file ? 'recording' : 'portrait'} first.` });
    return;
  }
  await makeTalk(portrait.file, recording.file);
});

/** @param {File} image @param {File} audio */
async function makeTalk(image, audio) {
  const { options, pace } = readTuning(form);
  const since = performance.now();
  // The service has room for so many talks; the one before has been seen.
  endTalk({ remove: own });
  // Nothing is awaited up to here, so a second click finds the button disabled.
  speak.disabled = true;
  work = new AbortController();
  const { signal } = work;
  loudspeaker.pause();
  screen.showPortrait(thumbnail.src);
  screen.root.scrollIntoView({ block: 'nearest' });
  screen.wait('Reading the portrait …');
  view.begin(recordingSeconds);
  view.say('Reading the portrait …', 'busy');
  try {
    session = await client.init(image, { ...options, signal });
    own = true;
    view.opened(session, { options, names: { portrait: image.name, recording: audio.name } });
    history.replaceState(null, '', `?session=${session.id}`);
    watch(session, since, signal);
    feeding = true;
    screen.wait('Waiting for the first words …');
    await Promise.all([session.stream(audio, { pace, signal }), follow(session, signal)]);
  } catch (error) {
    if (!signal.aborted) giveUp(error);
  } finally {
    if (signal === work.signal) {
      feeding = false;
      speak.disabled = false;
    }
  }
}

/** Comes back to the talk of the address. @param {string} id */
async function reopen(id) {
  const { signal } = work;
  session = client.attach(id);
  own = false;
  view.begin(undefined);
  view.say('Looking for the talk …', 'busy');
  try {
    view.progress(await session.status({ signal }));
    view.opened(session, undefined);
    watch(session, performance.now(), signal);
    await follow(session, signal);
  } catch (error) {
    if (signal.aborted) return;
    // An address that was cut short is not an id.
    const { code } = /** @type {{ code?: string }} */ (error);
    giveUp(code === 'invalid_parameter' ? { code: 'session_not_found' } : error);
  }
}

/** @param {FacecastSession} talk @param {number} since @param {AbortSignal} signal */
function watch(talk, since, signal) {
  screen.wait('Waiting for the first words …');
  screen.play(talk.hlsUrl, {
    onFirstPicture: () => {
      screen.wait();
      view.firstPicture(performance.now() - since);
    },
    signal,
    onError: (error) => {
      if (signal.aborted) return;
      screen.wait();
      view.fail({ code: 'stream', detail: error.message });
    },
  });
}

/** Shows what the service does until the last frame is there. @param {FacecastSession} talk @param {AbortSignal} signal */
async function follow(talk, signal) {
  await talk.waitUntilComplete({
    signal,
    pollSeconds: 0.3,
    onProgress: (status) => {
      view.progress(status);
      view.say(...stateInWords(status));
    },
  });
}

/** @param {SessionStatus} status @returns {[string, 'busy' | 'done']} */
function stateInWords({ status, total_frames_generated: frames }) {
  if (status === 'complete') return ['The talk is complete.', 'done'];
  if (status === 'error') return ['The talk has stopped.', 'done'];
  if (frames === 0) return ['Listening …', 'busy'];
  return [status === 'processing' ? 'Speaking …' : 'Waiting for more words …', 'busy'];
}

/** @param {unknown} error */
function giveUp(error) {
  endTalk({ remove: own });
  view.fail(error);
}

/**
 * Goes back to the portrait.
 * @param {{ remove: boolean }} options whether the service shall delete the talk; nobody waits for that, and what it
 *   does not hear of it deletes by itself after a while
 */
function endTalk({ remove }) {
  work.abort();
  feeding = false;
  const ended = session;
  session = undefined;
  screen.stop();
  view.clear();
  view.say('Ready when you are.', 'idle');
  speak.disabled = false;
  history.replaceState(null, '', location.pathname);
  if (remove) ended?.cleanup({ maxAttempts: 1 }).catch(() => undefined);
}

find('#stop').addEventListener('click', () => {
  endTalk({ remove: true });
  // Another may have been chosen while this one spoke.
  if (portrait.file) screen.showPortrait(thumbnail.src);
  speak.focus();
});

for (const button of document.querySelectorAll('.copy')) {
  button.addEventListener('click', async () => {
    await copy(find(`#${/** @type {HTMLElement} */ (button).dataset.copy}`));
    button.textContent = 'Copied';
    setTimeout(() => {
      button.textContent = 'Copy';
    }, 1500);
  });
}

// Half a recording would leave the talk waiting for the rest.
addEventListener('beforeunload', (event) => {
  if (feeding) event.preventDefault();
});

/** Looks after the service for as long as the page is open. */
async function showHealth() {
  const [health, text] = await healthInWords();
  find('.service').dataset.health = health;
  const place = find('#service-text');
  if (place.textContent !== text) place.textContent = text;
  setTimeout(showHealth, health === 'ready' ? 15_000 : 2000);
}

/** @returns {Promise<['ready' | 'starting' | 'away', string]>} */
async function healthInWords() {
  try {
    const { device } = await client.health({ signal: AbortSignal.timeout(10_000) });
    return ['ready', `Ready on the ${device === 'cuda' ? 'GPU' : 'CPU'}`];
  } catch (error) {
    const { code } = /** @type {{ code?: string }} */ (error);
    if (code === 'not_ready') return ['starting', 'Loading the model …'];
    if (code === 'draining') return ['away', 'The service is shutting down'];
    return ['away', 'The service cannot be reached'];
  }
}

showHealth();
showValues(form);
const asked = new URLSearchParams(location.search).get('session');
// The samples first: choosing a file takes an error away, and the talk may be gone.
Promise.all([portrait.useSample(), recording.useSample()]).then(() => {
  if (asked) reopen(asked);
});
