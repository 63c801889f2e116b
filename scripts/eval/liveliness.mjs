// Part 5: head, eyes and the session's dials, told from the tokens of long speech.
import { readSound } from './media.mjs';
import { row } from './rows.mjs';
import { bends, correlation, deviation, mean, quantile, stretchesAbove } from './statistics.mjs';

const FPS = 25;
/** From here on the lids count as shut. */
const SHUT = 0.5;
const DEGREES = 180 / Math.PI;

/** @param seconds of speech to listen to, the utterances one after another and again from the first */
export async function evaluateLiveliness(subject, portrait, utterances, seconds, progress) {
  progress(`${seconds} s of speech`);
  const wave = await joined(utterances, seconds);
  const listen = async (options, sound = wave) => {
    const avatar = await subject.open(portrait, options);
    const tokens = await subject.listen(avatar, sound);
    await avatar.close();
    return (name) => subject.curve(tokens, name);
  };
  const usual = await listen({});
  const rows = [...eyeRows(usual, seconds), ...headRows(usual)];

  progress('the dials seed, cfg_scale and nfe');
  const short = wave.subarray(0, Math.min(wave.length, 30 * 16_000));
  const [first, second, mild, strong] = [
    await listen({}, short),
    await listen({ seed: 7 }, short),
    await listen({ cfgScale: 1 }, short),
    await listen({ cfgScale: 4 }, short),
  ];
  rows.push(
    row(
      'dials.words',
      'opening of seed 42 against seed 7: correlation',
      correlation(first('open'), second('open')),
      'ratio',
    ),
    row('dials.life', 'yaw of seed 42 against seed 7: correlation', correlation(first('yaw'), second('yaw')), 'ratio'),
  );
  const spread = (of) => deviation(of('open')) / deviation(first('open'));
  rows.push(
    row('dials.mild', 'spread of the opening at cfg_scale 1, of that at 2', spread(mild), 'ratio'),
    row('dials.strong', 'spread of the opening at cfg_scale 4, of that at 2', spread(strong), 'ratio'),
  );
  for (const nfe of [5, 30]) {
    const other = await listen({ nfe }, short);
    const name = `opening at nfe ${nfe} against nfe 10: correlation`;
    rows.push(row(`dials.nfe${nfe}`, name, correlation(first('open'), other('open')), 'ratio'));
  }
  return { rows, details: [] };
}

function eyeRows(curveOf, seconds) {
  const lids = curveOf('blink_left');
  const blinks = stretchesAbove(lids, SHUT);
  const peaks = blinks.map(({ peak }) => lids[peak]);
  const gaps = blinks.slice(1).map(({ peak }, i) => (peak - blinks[i].peak) / FPS);
  const gapWords = gaps.length
    ? `10 / 50 / 90 % of gaps: ${[0.1, 0.5, 0.9].map((share) => quantile(gaps, share).toFixed(1)).join(' / ')} s`
    : '';
  const target = { least: 0.95 };
  return [
    row('life.blinks', 'blinks a minute', (blinks.length * 60) / seconds, 'count', {
      beside: `people 15 to 30; ${gapWords}`,
    }),
    row('life.shut', 'lid token at the height of a blink: mean', peaks.length ? mean(peaks) : Number.NaN, 'ratio', {
      target,
    }),
  ];
}

function headRows(curveOf) {
  const rows = ['pitch', 'yaw', 'roll'].map((name) => {
    const angle = Array.from(curveOf(name), (value) => value * DEGREES);
    const largest = Math.max(...angle.map(Math.abs));
    const beside = `largest ${largest.toFixed(1)}, bend ${mean(bends(angle)).toFixed(3)}`;
    return row(`life.${name}`, `${name}, degrees: deviation`, deviation(angle), 'ratio', { beside });
  });
  const gaze = curveOf('gaze_x');
  const brows = curveOf('brow_up');
  return [
    ...rows,
    row('life.gaze', 'gaze x: deviation', deviation(gaze), 'fine'),
    row('life.brows', 'brows up: deviation', deviation(brows), 'fine'),
  ];
}

async function joined(utterances, seconds) {
  const wave = new Float32Array(seconds * 16_000);
  for (let at = 0, i = 0; at < wave.length; i++) {
    const spoken = await readSound(utterances[i % utterances.length].path);
    wave.set(spoken.subarray(0, wave.length - at), at);
    at += spoken.length;
  }
  return wave;
}
