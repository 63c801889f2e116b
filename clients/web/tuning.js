/** @import { InitOptions } from 'facecast-client' */

/**
 * Shows every slider's value beside it.
 * @param {HTMLFormElement} form
 */
export function showValues(form) {
  const sliders = form.querySelectorAll('.slider');
  const update = () => {
    for (const slider of sliders) {
      const input = /** @type {HTMLInputElement} */ (slider.querySelector('input'));
      const output = /** @type {HTMLOutputElement} */ (slider.querySelector('output'));
      output.value = input.value + (output.dataset.unit ?? '');
    }
  };
  form.addEventListener('input', update);
  // The values change after the event.
  form.addEventListener('reset', () => setTimeout(update));
  update();
}

/** Range and default of the window, seconds: a live session should answer soon. */
const WINDOWS = /** @type {const} */ ({
  recording: { min: '0.1', max: '10', step: '0.1', value: '1', help: '0.1 to 10 s; shorter answers sooner' },
  live: { min: '0.2', max: '2', step: '0.04', value: '0.32', help: '0.2 to 2 s; shorter answers sooner' },
});

/**
 * Offers what there is to tune for a talk of this kind.
 * @param {HTMLFormElement} form
 * @param {'recording' | 'live'} kind
 */
export function tuneFor(form, kind) {
  const input = /** @type {HTMLInputElement} */ (form.elements.namedItem('chunkDuration'));
  const { min, max, step, value, help } = WINDOWS[kind];
  Object.assign(input, { min, max, step, value, defaultValue: value });
  /** @type {HTMLElement} */ (input.parentElement?.querySelector('small')).textContent = help;
  input.dispatchEvent(new Event('input', { bubbles: true }));
}

/**
 * Reads the session's options from the form.
 * @param {HTMLFormElement} form
 * @returns {{ options: InitOptions, pace: 'realtime' | 'full', record: boolean }} `record` is for live sessions
 */
export function readTuning(form) {
  const data = new FormData(form);
  const number = (/** @type {string} */ name) => Number(data.get(name));
  /** @type {[number, number, number]} */
  const pose = [number('pitch'), number('yaw'), number('roll')];
  /** @type {[number, number]} */
  const gaze = [number('gazeX'), number('gazeY')];
  return {
    options: {
      crop: data.has('crop'),
      seed: number('seed'),
      nfe: number('nfe'),
      cfgScale: number('cfgScale'),
      chunkDuration: number('chunkDuration'),
      size: number('size'),
      // Left alone, head and eyes move as the model likes.
      ...(pose.some(Boolean) && { poseStyle: pose }),
      ...(gaze.some(Boolean) && { gazeStyle: gaze }),
    },
    pace: data.get('pace') === 'realtime' ? 'realtime' : 'full',
    record: data.has('record'),
  };
}
