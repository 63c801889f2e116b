// Part 1: the lips that the pack makes from the sound of real talking clips, beside the lips of those clips.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { loudness, spectralLips } from './baselines.mjs';
import { FaceTracker } from './face-measure.mjs';
import { pictureTimes, readPictures, readSound } from './media.mjs';
import { toRgb } from './pictures.mjs';
import { row } from './rows.mjs';
import { bends, correlation, deviation, interpolate, lagCorrelations, mean, pooledCorrelation } from './statistics.mjs';

const FPS = 25;
/** Frames that sound and picture of a clip may be apart, either way. */
const REACH = 3;
/** Side of the pictures that are measured. */
const SIZE = 512;
/** Of the trial network that this pack began as, on three of the clips, each at a lag chosen by hand. */
const TRIAL = { opening: 0.44, width: 0.52 };
const TARGETS = { opening: 0.6, width: 0.65 };

export async function listClips(folder) {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => name.endsWith('.mp4'))
    .sort()
    .map((name) => join(folder, name));
}

/** @returns `{rows, details}` */
export async function evaluateClips(subject, portrait, clips, progress) {
  const recordings = [];
  for (const [i, path] of clips.entries()) {
    const name = path.split('/').at(-1).replace('.mp4', '');
    progress(`${name} (${i + 1} of ${clips.length})`);
    recordings.push({ name, ...(await recordClip(subject, portrait, path)) });
  }
  return { rows: rowsOf(recordings), details: recordings.map(detailsOf) };
}

/** Every source's curves of opening and width over the same frames. */
async function recordClip(subject, portrait, path) {
  const wave = await readSound(path);
  const real = await realLips(subject.faces, path);
  const avatar = await subject.open(portrait);
  const tokens = await subject.listen(avatar, wave);
  const drawn = { opening: [], width: [] };
  const tracker = new FaceTracker(subject.faces);
  for await (const frame of subject.draw(avatar, tokens)) {
    const face = await tracker.measure(toRgb(frame, subject.size.width, subject.size.height));
    for (const lips of ['opening', 'width']) drawn[lips].push(face?.[lips] ?? drawn[lips].at(-1) ?? 0);
  }
  await avatar.close();
  const loud = loudness(wave);
  const made = {
    tokens: { opening: subject.curve(tokens, 'open'), width: subject.curve(tokens, 'width') },
    frames: drawn,
    energy: { opening: loud, width: loud },
    spectrum: spectralLips(wave),
  };
  return { real, made };
}

/** Opening and width of a clip's lips at 25 frames a second, whatever its own rate. */
async function realLips(faces, path) {
  const times = await pictureTimes(path);
  const tracker = new FaceTracker(faces);
  const seen = { times: [], opening: [], width: [] };
  let index = 0;
  for await (const picture of readPictures(path, SIZE)) {
    const face = await tracker.measure(picture);
    if (face && index < times.length) {
      seen.times.push(times[index]);
      seen.opening.push(face.opening);
      seen.width.push(face.width);
    }
    index++;
  }
  if (seen.times.length < 2 * FPS) throw new Error(`${path}: a face was found in only ${seen.times.length} pictures.`);
  const wanted = Array.from({ length: Math.floor(seen.times.at(-1) * FPS) + 1 }, (_, i) => i / FPS);
  return {
    opening: interpolate(seen.times, seen.opening, wanted),
    width: interpolate(seen.times, seen.width, wanted),
  };
}

/** Correlation at lag 0 and at the best lag, of one clip. */
function compare(made, real) {
  const lags = lagCorrelations(Array.from(made), Array.from(real), REACH);
  const best = lags.reduce((a, b) => (b.correlation > a.correlation ? b : a));
  return { fixed: lags[REACH].correlation, best: best.correlation, lag: best.lag };
}

/** All clips as one, at lag 0 or each at its own best lag. */
function pooled(recordings, source, lips, best) {
  return pooledCorrelation(
    recordings.map(({ made, real }) => {
      const curve = Array.from(made[source][lips]);
      const count = Math.min(curve.length, real[lips].length) - 2 * REACH;
      const lag = best ? compare(curve, real[lips]).lag : 0;
      return {
        made: curve.slice(REACH + lag, REACH + lag + count),
        real: Array.from(real[lips]).slice(REACH, REACH + count),
      };
    }),
  );
}

/** What a wrong curve reaches: every clip's lips beside those that another clip's sound made, mean over all such pairings. */
function chance(recordings, source, lips, best) {
  const shifts = recordings.slice(1).map((_, i) => i + 1);
  return mean(
    shifts.map((shift) => {
      const mixed = recordings.map(({ real }, i) => ({
        real,
        made: recordings[(i + shift) % recordings.length].made,
      }));
      return pooled(mixed, source, lips, best);
    }),
  );
}

function rowsOf(recordings) {
  const rows = [];
  for (const lips of ['opening', 'width']) {
    for (const best of [false, true]) {
      const at = best ? 'best lag' : 'lag 0';
      const simple = ['energy', 'spectrum']
        .map((source) => `${source} ${pooled(recordings, source, lips, best).toFixed(2)}`)
        .join(', ');
      for (const source of ['tokens', 'frames']) {
        const key = `clips.${lips}.${source}.${best ? 'best' : 'fixed'}`;
        const name = `${lips}, ${source}, ${at}: correlation over all clips`;
        const trial = best && source === 'tokens' ? `, trial ${TRIAL[lips].toFixed(2)}` : '';
        const target = { least: TARGETS[lips] };
        const luck = recordings.length > 1 ? `, chance ${chance(recordings, source, lips, best).toFixed(2)}` : '';
        const beside = simple + luck + trial;
        rows.push(row(key, name, pooled(recordings, source, lips, best), 'ratio', { target, beside }));
      }
    }
  }
  for (const lips of ['opening', 'width']) {
    const shares = recordings.map(({ made, real }) => deviation(made.frames[lips]) / deviation(real[lips]));
    const name = `${lips}, frames: spread over that of the real lips`;
    rows.push(row(`clips.${lips}.spread`, name, mean(shares), 'ratio', { beside: 'as large as real: 1.00' }));
  }
  const jitter = (curves) => mean(curves.map((curve) => mean(bends(curve))));
  const real = jitter(recordings.map(({ real }) => real.opening));
  const made = jitter(recordings.map(({ made }) => made.frames.opening));
  const beside = `real lips ${real.toFixed(3)}`;
  rows.push(row('clips.bend', 'opening, frames: mean bend from frame to frame', made, 'fine', { beside }));
  for (const { name, made, real } of recordings) {
    const [opening, width] = ['opening', 'width'].map((lips) => compare(made.tokens[lips], real[lips]));
    const at = ({ lag }) => `at ${lag > 0 ? '+' : ''}${lag}`;
    const beside = `opening ${at(opening)}; width ${width.best.toFixed(2)} ${at(width)}`;
    rows.push(row(`clips.each.${name}`, `${name}: opening, tokens, best lag`, opening.best, 'ratio', { beside }));
  }
  return rows;
}

function detailsOf({ name, made, real }) {
  const sources = Object.fromEntries(
    Object.entries(made).map(([source, curves]) => [
      source,
      { opening: compare(curves.opening, real.opening), width: compare(curves.width, real.width) },
    ]),
  );
  const count = Math.min(made.tokens.opening.length, made.frames.opening.length);
  return {
    name,
    frames: real.opening.length,
    ...sources,
    tokensAgainstFrames: correlation(
      Array.from(made.tokens.opening).slice(0, count),
      made.frames.opening.slice(0, count),
    ),
  };
}
