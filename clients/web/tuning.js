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

/**
 * Reads the session's options from the form.
 * @param {HTMLFormElement} form
 * @returns {{ options: InitOptions, pace: 'realtime' | 'full' }}
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
  };
}
