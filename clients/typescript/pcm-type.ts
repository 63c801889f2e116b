import { FacecastError } from './facecast-error.js';

/** Whether a MIME type says that the sound is headerless 16-bit PCM (`audio/L16`, parameters or not). */
export function isPcmType(type: string): boolean {
  return /^\s*audio\/l16\s*(;|$)/i.test(type);
}

/**
 * The service reads headerless PCM at the session's rate, as mono, whatever the type's parameters say.
 * @param type MIME type such as `audio/L16;rate=16000;channels=1`; others than `audio/L16` are not looked at
 * @param sampleRate the session's, Hz
 * @throws FacecastError `invalid_audio` when a parameter says something else
 */
export function checkPcmType(type: string, sampleRate: number): void {
  if (!isPcmType(type)) return;
  refuseOther(type, 'rate', sampleRate, `this session's audioSampleRate is ${sampleRate}`);
  refuseOther(type, 'channels', 1, 'headerless PCM is taken with one channel only');
}

function refuseOther(type: string, name: string, wanted: number, reason: string): void {
  const given = new RegExp(`;\\s*${name}\\s*=\\s*"?([^;"\\s]*)`, 'i').exec(type)?.[1];
  if (given === undefined || Number(given) === wanted) return;
  throw new FacecastError({ code: 'invalid_audio', detail: `${type}: ${name} is ${given}, but ${reason}.` });
}
