// What a session says, and when.
import { pcm16 } from '../live/live-session.mjs';
import { withMarker } from './marker.mjs';
import { SAMPLE_RATE } from './material.mjs';

/** A fed session's chunks, and how often one has the marker. */
const CHUNK_SECONDS = 1;
const MARKED_CHUNKS = 5;
/** A live session's utterances and how long one waits for the next. */
const UTTERANCE_SECONDS = 5;
const PAUSE_SECONDS = 3;

/**
 * The session's chunks without end: `{at, seconds, bytes, marked}`, `at` seconds after its start.
 * @param voice samples at 24 kHz, repeated
 * @param session tells which tone is its own, and where it begins in its turn of saying and pausing
 */
export function* speechPlan({ live, voice, session }) {
  const seconds = live ? UTTERANCE_SECONDS : CHUNK_SECONDS;
  const every = live ? UTTERANCE_SECONDS + PAUSE_SECONDS : CHUNK_SECONDS;
  // Callers do not begin to speak at the same moment.
  const first = live ? (session * 1.3) % every : 0;
  const length = Math.round(seconds * SAMPLE_RATE);
  for (let n = 0; ; n++) {
    const from = n * length;
    const samples = Float32Array.from({ length }, (_, i) => voice[(from + i) % voice.length]);
    const marked = live || n % MARKED_CHUNKS === 0;
    const bytes = pcm16(marked ? withMarker(samples, SAMPLE_RATE, session) : samples);
    yield { at: first + n * every, seconds, bytes, marked };
  }
}
