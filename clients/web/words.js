/** @import { FacecastError } from 'facecast-client' */

/** Short titles of the service's, the client's and this page's own codes. */
const TITLES = /** @type {Readonly<Record<string, string>>} */ ({
  wrong_file: 'This file cannot be used',
  no_file: 'Something is still missing',
  stream: 'The stream cannot be shown',
  speech_line: 'The speech does not get through',
  insecure_page: 'Microphone and camera are not available here',
  microphone_denied: 'The microphone is not allowed',
  microphone_missing: 'No microphone was found',
  microphone_busy: 'The microphone cannot be opened',
  microphone_unusable: 'This browser cannot take the sound of the microphone',
  camera_denied: 'The camera is not allowed',
  camera_missing: 'No camera was found',
  camera_busy: 'The camera cannot be opened',
  invalid_parameter: 'One of the options does not fit',
  internal: 'Something went wrong in the service',
  face_not_found: 'No face was found in this picture',
  invalid_image: 'This picture cannot be read',
  image_too_large: 'This picture is too large',
  invalid_audio: 'This recording cannot be read',
  audio_too_large: 'This recording is too large',
  too_many_sessions: 'The service has no room for another talk now',
  session_lagging: 'The service does not keep up',
  session_not_found: 'This talk is gone',
  session_closed: 'This talk has ended',
  not_live: 'This talk is not live',
  session_failed: 'The talk stopped because of an error',
  unauthorized: 'This service asks for a key',
  invalid_signature: 'The address of this stream is not good any more',
  rate_limited: 'Too much was asked of the service at once',
  overloaded: 'The service has too much to do now',
  storage_full: 'The service has no room on its disk',
  gpu_memory_full: 'The service has no room for another talk now',
  not_finished: 'The talk is not finished yet',
  not_ready: 'The service is still starting',
  draining: 'The service is shutting down',
  network: 'The service cannot be reached',
  timeout: 'The service does not answer',
});

/** What one can do, where the service's detail does not say. */
const ADVICE = /** @type {Readonly<Record<string, string>>} */ ({
  face_not_found: 'Choose one with a well-lit face that looks at the camera, or switch off "Crop to the face".',
  session_not_found: 'It was deleted, or nobody had watched it for a long time.',
  insecure_page:
    'Browsers give them only to pages that came over HTTPS or from localhost. Open this page at such an address.',
  microphone_denied: 'Allow it in the browser, beside the address of this page, and try again.',
  microphone_missing: 'Connect one, or let a recording speak.',
  microphone_busy: 'Another programme may be using it.',
  camera_denied: 'Allow it in the browser, beside the address of this page, and try again.',
  camera_missing: 'Connect one, or choose a picture.',
  camera_busy: 'Another programme may be using it.',
  network: 'Is it running? It is started with "npm start".',
  audio_too_large: 'WAV files may be of any length; they are sent piece by piece.',
});

/**
 * @param {unknown} error
 * @returns {{ title: string, detail: string }}
 */
export function inWords(error) {
  const { code, detail, requestId } = /** @type {Partial<FacecastError>} */ (error);
  if (!code) return { title: 'Something went wrong in this page', detail: String(error) };
  const reference = code === 'internal' && requestId ? ` (request ${requestId})` : '';
  return {
    title: TITLES[code] ?? 'The service refused this',
    detail: [ADVICE[code] ?? detail, reference].join(''),
  };
}

/** @param {number} seconds */
export function inSeconds(seconds) {
  return `${seconds.toFixed(1)} s`;
}

/** @param {number} bytes */
export function inBytes(bytes) {
  return bytes < 1_000_000 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
