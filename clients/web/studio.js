import { FacecastClient } from 'facecast-client';
import { apiKey, fetchWithKey } from './api-key.js';
import { Camera } from './camera.js';
import { LiveTalk } from './live/live-talk.js';
import { Picker } from './picker.js';
import { RecordedTalk } from './recorded-talk.js';
import { RecordingPicker } from './recording-picker.js';
import { Screen } from './screen.js';
import { showHealth } from './service-health.js';
import { copy } from './snippets.js';
import { TalkView } from './talk-view.js';
import { readTuning, showValues, tuneFor } from './tuning.js';

/** @import { Talk } from './talk.js' */

/** @template {HTMLElement} [T=HTMLElement] @param {string} selector @returns {T} */
const find = (selector) => /** @type {T} */ (document.querySelector(selector));

const form = /** @type {HTMLFormElement} */ (find('#form'));
const speak = /** @type {HTMLButtonElement} */ (find('#speak'));
const screen = new Screen();
const view = new TalkView();
const client = new FacecastClient(new URL('.', import.meta.url), {
  apiKey,
  fetch: fetchWithKey,
  onRetry: ({ error, waitSeconds }) => {
    // A chunk that has to wait is nothing to speak of while the talk goes on.
    if (talk?.session && error.status === 429) return;
    view.say(`${error.detail} Trying again in ${Math.ceil(waitSeconds)} s …`, 'busy');
  },
});

/** What is on the screen. @type {Talk | undefined} */
let talk;

/** @param {string} message */
function refuse(message) {
  view.fail({ code: 'wrong_file', detail: message });
}

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
    if (!talk) screen.showPortrait(thumbnail.src);
  },
});
portrait.acceptDrops(screen.root);
const camera = new Camera((picture) => portrait.choose(picture));
find('#camera-open').addEventListener('click', () => camera.open());

const recording = new RecordingPicker(find('#recording'), { onRefuse: refuse, onChoose: () => view.clearError() });

/** @returns {'recording' | 'live'} */
function kind() {
  return new FormData(form).get('kind') === 'live' ? 'live' : 'recording';
}

/** Shows what belongs to the kind of talk that is to be made. */
function showKind() {
  for (const part of /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll('[data-kind]'))) {
    part.hidden = part.dataset.kind !== kind();
  }
  speak.textContent = kind() === 'live' ? 'Go live' : 'Speak';
  tuneFor(form, kind());
}
find('#kind').addEventListener('change', showKind);
// The defaults of a form are those of its first state.
form.addEventListener('reset', () => {
  const chosen = kind();
  setTimeout(() => {
    /** @type {HTMLInputElement} */ (form.querySelector(`[name=kind][value=${chosen}]`)).checked = true;
    showKind();
  });
});

form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (speak.disabled) return;
  if (!form.checkValidity()) {
    /** @type {HTMLDetailsElement} */ (find('#advanced')).open = true;
    form.reportValidity();
    return;
  }
  const { options, pace, record } = readTuning(form);
  const image = portrait.file;
  const audio = recording.file;
  if (!image) view.fail({ code: 'no_file', detail: 'Choose a portrait first.' });
  else if (kind() === 'live')
    show(new LiveTalk(prepare(), recording), (live) => live.make(image, { ...options, record }));
  else if (!audio) view.fail({ code: 'no_file', detail: 'Choose a recording first.' });
  else {
    const material = { image, audio, seconds: recording.seconds };
    show(new RecordedTalk(prepare()), (recorded) => recorded.make(material, { options, pace }));
  }
});

/** Makes room for a new talk. */
function prepare() {
  // The service has room for so many talks; the one before has been seen.
  leave({ remove: talk?.own ?? false });
  view.clearError();
  recording.pause();
  screen.showPortrait(thumbnail.src);
  screen.root.scrollIntoView({ block: 'nearest' });
  return { client, screen, view };
}

/**
 * Has a talk on the screen until something else is there.
 * @template {Talk} T
 * @param {T} shown
 * @param {(talk: T) => Promise<void>} run
 */
async function show(shown, run) {
  talk = shown;
  // Nothing was awaited up to here, so a second click finds the button disabled.
  speak.disabled = true;
  try {
    await run(shown);
  } catch (error) {
    if (shown.signal.aborted) return;
    leave({ remove: shown.own });
    view.fail(error);
  } finally {
    if (talk === shown) speak.disabled = false;
  }
}

/** Comes back to a talk that is there already. @param {string} id */
async function reopen(id) {
  const session = client.attach(id);
  view.say('Looking for the talk …', 'busy');
  try {
    const status = await session.status();
    // Something else may have been made meanwhile.
    if (talk) return;
    const stage = prepare();
    history.replaceState(null, '', `?session=${session.id}`);
    const found = status.live ? new LiveTalk(stage, recording) : new RecordedTalk(stage);
    await show(found, () => found.reopen(session, status));
  } catch (error) {
    if (talk) return;
    leave({ remove: false });
    // An address that was cut short is not an id.
    const { code } = /** @type {{ code?: string }} */ (error);
    view.fail(code === 'invalid_parameter' ? { code: 'session_not_found' } : error);
  }
}

/** Goes back to the portrait. @param {{ remove: boolean }} options whether the service shall delete the talk */
function leave({ remove }) {
  talk?.end({ remove });
  talk = undefined;
  screen.stop();
  view.clear();
  speak.disabled = false;
  history.replaceState(null, '', location.pathname);
}

find('#stop').addEventListener('click', async () => {
  const stopped = talk;
  try {
    if ((await stopped?.stop()) === 'stay') return;
  } catch (error) {
    if (!stopped?.signal.aborted) view.fail(error);
    return;
  }
  if (stopped !== talk) return;
  leave({ remove: true });
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
  if (talk?.unfinished) event.preventDefault();
});

showHealth(client);
showValues(form);
showKind();
const asked = new URLSearchParams(location.search).get('session');
// The samples first: choosing a file takes an error away, and the talk may be gone.
Promise.all([portrait.useSample(), recording.useSample()]).then(() => {
  if (asked) reopen(asked);
});
