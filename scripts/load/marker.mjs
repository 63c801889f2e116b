// Tones that tell sessions apart: each session's speech has its own, and none of the others may be heard in it.

/** Hertz between two tones, and the first: above a voice's strongest part, below what any model or coder leaves out. */
const FIRST_HERTZ = 2000;
const STEP_HERTZ = 125;

export const MARKER_SECONDS = 0.3;
const MARKER_LEVEL = 0.3;
/** What is looked at together, samples at 48 kHz: tones 23 Hz apart would be told apart. */
const WINDOW = 2048;
/** Share of a window's power that is a tone's where it sounds alone. */
const LEAST_SHARE = 0.7;
/** Power of a window that is worth looking at, as mean square. */
const LEAST_POWER = 1e-3;

export function markerHertz(session) {
  return FIRST_HERTZ + STEP_HERTZ * session;
}

/** Speech whose first 0.3 s are the session's tone. @param samples -1..1 */
export function withMarker(samples, sampleRate, session) {
  const marked = samples.slice();
  const step = (2 * Math.PI * markerHertz(session)) / sampleRate;
  const length = Math.min(marked.length, Math.round(MARKER_SECONDS * sampleRate));
  for (let i = 0; i < length; i++) marked[i] = MARKER_LEVEL * Math.sin(step * i);
  return marked;
}

/**
 * How often each session's tone sounds.
 * @param sound mono, -1..1
 * @param sessions how many tones are looked for
 * @returns a number for each session
 */
export function countMarkers(sound, sampleRate, sessions) {
  const counts = new Array(sessions).fill(0);
  let before;
  for (let at = 0; at + WINDOW <= sound.length; at += WINDOW) {
    const heard = toneIn(sound.subarray(at, at + WINDOW), sampleRate, sessions);
    // A marker lasts seven windows; what is in one or two is none.
    if (heard !== undefined && heard === before?.tone) {
      before.windows++;
      if (before.windows === 3) counts[heard]++;
    } else before = { tone: heard, windows: 1 };
  }
  return counts;
}

/** The session whose tone makes up a window; undefined where none does. */
function toneIn(samples, sampleRate, sessions) {
  let power = 0;
  for (const value of samples) power += value * value;
  if (power / samples.length < LEAST_POWER) return undefined;
  for (let session = 0; session < sessions; session++) {
    if (tonePower(samples, markerHertz(session) / sampleRate) / power > LEAST_SHARE) return session;
  }
  return undefined;
}

/** Energy of a tone in samples by Goertzel's algorithm. @param frequency in cycles a sample */
function tonePower(samples, frequency) {
  const turn = 2 * Math.cos(2 * Math.PI * frequency);
  let [last, beforeLast] = [0, 0];
  for (const value of samples) [last, beforeLast] = [value + turn * last - beforeLast, last];
  return (2 * (last * last + beforeLast * beforeLast - turn * last * beforeLast)) / samples.length;
}
