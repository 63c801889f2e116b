// Clicks that can be told from speech, before and after AAC: 2 ms of 1.5 kHz, nearly as loud as can be.

const FREQUENCY = 1500;
const SECONDS = 0.002;
const LEVEL = 0.95;
/** Speech beside clicks is never louder than this. */
export const SPEECH_LEVEL = 0.4;
/** Louder than this is a click. */
const THRESHOLD = 0.7;
/** Silence before and behind a click, so that speech cannot add to it. */
const CLEARANCE_SECONDS = 0.01;

/** One click at `sampleRate`; its middle is its loudest sample. */
export function click(sampleRate) {
  const half = Math.round((SECONDS * sampleRate) / 2);
  return Float32Array.from({ length: 2 * half + 1 }, (_, i) => {
    const seconds = (i - half) / sampleRate;
    const envelope = Math.cos((Math.PI * seconds) / SECONDS) ** 2;
    return Math.abs(seconds) < SECONDS / 2 ? LEVEL * envelope * Math.cos(2 * Math.PI * FREQUENCY * seconds) : 0;
  });
}

/**
 * Speech with clicks in it.
 * @param speech -1..1; brought to `SPEECH_LEVEL`
 * @param seconds where the middles of the clicks go, rising, at least 20 ms apart and from both ends
 */
export function withClicks(speech, sampleRate, seconds) {
  const loudest = speech.reduce((most, sample) => Math.max(most, Math.abs(sample)), 1e-9);
  const sound = speech.map((sample) => (sample * SPEECH_LEVEL) / loudest);
  const shape = click(sampleRate);
  const clearance = Math.round(CLEARANCE_SECONDS * sampleRate);
  for (const at of seconds) {
    const middle = Math.round(at * sampleRate);
    if (middle < clearance || middle + clearance > sound.length) {
      throw new RangeError(
        `A click at ${at} s does not fit into ${(sound.length / sampleRate).toFixed(3)} s of speech.`,
      );
    }
    sound.fill(0, middle - clearance, middle + clearance);
    sound.set(shape, middle - (shape.length - 1) / 2);
  }
  return sound;
}

/**
 * Where in `samples` from `start` to `end` a click has its middle, counted from `start`; undefined where there is none. One
 * whose middle lies beyond either end is not counted, though its slope reaches in.
 */
export function clickIn(samples, start, end) {
  let at = start;
  for (let i = start; i < end; i++) if (samples[i] > samples[at]) at = i;
  const isTop = !(samples[at - 1] > samples[at]) && !(samples[at + 1] > samples[at]);
  return samples[at] > THRESHOLD && isTop ? at - start : undefined;
}

/**
 * The most click-like place of a decoded sound: where it correlates best with a click.
 * @param around sample at which it is expected, and how far it may be away
 * @returns `{at, likeness, level}`: the sample of its middle, the correlation there (-1..1), and how loud it is beside the
 *   click that was fed; undefined where there is no sound
 */
export function findClick(sound, sampleRate, around, reach) {
  const shape = click(sampleRate);
  const half = (shape.length - 1) / 2;
  const shapeEnergy = shape.reduce((sum, x) => sum + x * x, 0);
  let best;
  const from = Math.max(half, Math.round(around - reach));
  const to = Math.min(sound.length - half - 1, Math.round(around + reach));
  for (let at = from; at <= to; at++) {
    let dot = 0;
    let energy = 0;
    for (let i = 0; i < shape.length; i++) {
      const x = sound[at - half + i];
      dot += x * shape[i];
      energy += x * x;
    }
    // Loudness counts as well, or the shape would be found in what is next to silence.
    if (!best || dot > best.dot) best = { at, dot, likeness: dot / Math.sqrt(Math.max(energy, 1e-9) * shapeEnergy) };
  }
  return best && { at: best.at, likeness: best.likeness, level: best.dot / shapeEnergy };
}
