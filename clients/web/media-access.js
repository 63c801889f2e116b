import { PageError } from './page-error.js';

/** What the names of `getUserMedia`'s errors mean (Media Capture and Streams, 10.2). */
const MEANINGS = /** @type {Readonly<Record<string, string>>} */ ({
  NotAllowedError: 'denied',
  SecurityError: 'denied',
  NotFoundError: 'missing',
  OverconstrainedError: 'missing',
  NotReadableError: 'busy',
  AbortError: 'busy',
});

/**
 * Asks for the microphone or the camera.
 * @param {'microphone' | 'camera'} device
 * @param {MediaTrackConstraints} constraints
 * @returns {Promise<MediaStream>}
 * @throws {PageError} `microphone_denied`, `camera_missing` and so on; `insecure_page` where browsers have no devices
 */
export async function openMedia(device, constraints) {
  // Browsers hide their devices from pages that came over plain HTTP.
  if (!navigator.mediaDevices?.getUserMedia) throw new PageError('insecure_page');
  try {
    return await navigator.mediaDevices.getUserMedia({ [device === 'microphone' ? 'audio' : 'video']: constraints });
  } catch (error) {
    const { name, message } = /** @type {Error} */ (error);
    throw new PageError(`${device}_${MEANINGS[name] ?? 'busy'}`, message, error);
  }
}

/** Switches the devices off. @param {MediaStream | undefined} stream */
export function closeMedia(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
