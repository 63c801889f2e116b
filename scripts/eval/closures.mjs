// Part 2: do the lips close for p, b, m and the lower lip tuck for f, v, in voices that the pack never heard?
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FaceTracker } from './face-measure.mjs';
import { readSound } from './media.mjs';
import { toRgb } from './pictures.mjs';
import { row } from './rows.mjs';
import { bends, correlation, mean } from './statistics.mjs';
import { TOKENS } from './tokens.mjs';

const FPS = 25;
const BILABIAL = new Set('pbm');
const LABIODENTAL = new Set('fv');
const VOWELS = new Set('iɪeɛæaɑʌəɚɔɒoʊuyøœɯɨ');
/** Below this opening token the lips count as shut; above this tuck token the lower lip counts as tucked. */
const SHUT = 0.1;
const TUCKED = 0.4;
/** The mesh sees the lips shut when they are no further apart than at rest, and this many face units more (0.5 mm). */
export const SHUT_GAP = 0.005;
/** Seconds: shorter phones are passed over, by a speaker too; only longer vowels must be open, or are held. */
const SHORTEST = 0.03;
const VOWEL = 0.07;
const HELD_FRAMES = 3;
/** Of a strip, from the moment. */
const STRIP_FRAMES = [-3, -2, -1, 0, 1, 2, 3];

export async function readUtterances(folder) {
  const listing = await readFile(join(folder, 'phones.json'), 'utf8').catch(() => '[]');
  return JSON.parse(listing).map((entry) => ({ ...entry, path: join(folder, entry.file) }));
}

/**
 * The frames at which each phone is judged: its middle and one frame either side, as the eye would not tell 40 ms apart.
 * @param phones `[[phone, start, end]]`
 */
export function moments(phones, frames) {
  const found = { bilabial: [], labiodental: [], vowel: [], held: [] };
  for (const [phone, start, end] of phones) {
    const middle = Math.floor(((start + end) / 2) * FPS);
    const first = Math.floor(start * FPS) + 2;
    const last = Math.floor(end * FPS) - 1;
    if (VOWELS.has(phone) && last - first >= HELD_FRAMES && last <= frames) found.held.push({ first, last });
    if (end - start < SHORTEST || middle < 2 || middle + 1 >= frames) continue;
    if (BILABIAL.has(phone)) found.bilabial.push(middle);
    else if (LABIODENTAL.has(phone)) found.labiodental.push(middle);
    else if (VOWELS.has(phone) && end - start > VOWEL) found.vowel.push(middle);
  }
  return found;
}

/** @param portraits opened in turn, one utterance each: `[{name, picture}]` @returns `{rows, details, strips}` */
export async function evaluateClosures(subject, portraits, utterances, progress) {
  const hits = { tokens: emptyHits(), frames: emptyHits() };
  const held = { tokens: [], frames: [] };
  const strips = new Map();
  const details = [];
  for (const [i, utterance] of utterances.entries()) {
    progress(`${utterance.file} (${i + 1} of ${utterances.length})`);
    const portrait = portraits[i % portraits.length];
    const spoken = await speak(subject, portrait, utterance);
    judge(spoken, hits);
    bendInVowels(spoken, held);
    details.push({
      file: utterance.file,
      portrait: portrait.name,
      shut: shareOf(spoken.at.bilabial.map((frame) => around(spoken.opening, frame, Math.min) < SHUT)),
      tokensAgainstFrames: correlation(
        spoken.measured.map(({ frame }) => spoken.opening[frame]),
        spoken.measured.map(({ face }) => face.opening),
      ),
    });
    if (spoken.strips.length > (strips.get(portrait.name)?.length ?? 0)) strips.set(portrait.name, spoken.strips);
  }
  return { rows: rowsOf(hits, held), details, strips };
}

function emptyHits() {
  return { bilabial: [], labiodental: [], vowel: [] };
}

/** One utterance on one portrait; only the frames that are looked at are drawn. */
async function speak(subject, portrait, utterance) {
  const wave = await readSound(utterance.path);
  const avatar = await subject.open(portrait.picture);
  const { width, height } = subject.size;
  const tracker = new FaceTracker(subject.faces);
  const measure = async (frame) => tracker.measure(toRgb(frame, width, height));
  const rest = await measure(await subject.drawPose(avatar, {}));
  const tokens = await subject.listen(avatar, wave);
  const at = moments(utterance.phones, tokens.length / TOKENS.length);

  const wanted = new Set(at.vowel);
  for (const { first, last } of at.held) for (let frame = first; frame < last; frame++) wanted.add(frame);
  for (const frame of [...at.bilabial, ...at.labiodental]) for (const near of [-1, 0, 1]) wanted.add(frame + near);
  const opening = subject.curve(tokens, 'open');
  const shown = stripFrames(at, opening);
  for (const frames of Object.values(shown)) for (const frame of frames) wanted.add(frame);
  const order = [...wanted]
    .filter((frame) => frame >= 0 && frame * TOKENS.length < tokens.length)
    .sort((a, b) => a - b);
  const D = TOKENS.length;
  const chosen = Float32Array.from(order.flatMap((frame) => [...tokens.subarray(frame * D, (frame + 1) * D)]));

  const measured = [];
  const strips = Object.fromEntries(Object.keys(shown).map((name) => [name, []]));
  let next = 0;
  for await (const drawn of subject.draw(avatar, chosen)) {
    const frame = order[next++];
    const face = await measure(drawn);
    if (face) measured.push({ frame, face });
    for (const [name, frames] of Object.entries(shown)) {
      if (face && frames.includes(frame)) strips[name].push({ frame: drawn.slice(), face });
    }
  }
  await avatar.close();
  return {
    at,
    measured,
    // Those that are whole: a face may have been missed, a sentence may have no such phone.
    strips: Object.entries(strips)
      .filter(([, frames]) => frames.length === STRIP_FRAMES.length)
      .map(([word, frames]) => ({ word, frames })),
    rest: rest?.opening ?? 0,
    opening,
    tuck: subject.curve(tokens, 'tuck'),
  };
}

/** Seven frames around the p, b or m and the f or v that stand next to the widest opening: the hardest to close for. */
function stripFrames(at, opening) {
  const around = (frames) => {
    const whole = frames.filter((frame) => frame >= 3 && frame + 3 < opening.length);
    const widest = (frame) => Math.max(...STRIP_FRAMES.map((near) => opening[frame + near]));
    const [middle] = whole.sort((a, b) => widest(b) - widest(a));
    return middle === undefined ? [] : STRIP_FRAMES.map((near) => middle + near);
  };
  return { 'p b m': around(at.bilabial), 'f v': around(at.labiodental) };
}

function judge({ at, opening, tuck, measured, rest }, hits) {
  const gaps = new Map(measured.map(({ frame, face }) => [frame, face.opening - rest]));
  const least = (frame) => Math.min(...[-1, 0, 1].map((near) => gaps.get(frame + near) ?? Infinity));
  for (const frame of at.bilabial) {
    hits.tokens.bilabial.push(around(opening, frame, Math.min) < SHUT);
    hits.frames.bilabial.push(least(frame) < SHUT_GAP);
  }
  for (const frame of at.labiodental) {
    hits.tokens.labiodental.push(around(tuck, frame, Math.max) > TUCKED);
    // The mesh knows no tucked lip, but it sees that no gap is left between lip and lip.
    hits.frames.labiodental.push(least(frame) < 2 * SHUT_GAP);
  }
  for (const frame of at.vowel) {
    hits.tokens.vowel.push(opening[frame] < SHUT);
    if (gaps.has(frame)) hits.frames.vowel.push(gaps.get(frame) < SHUT_GAP);
  }
}

function bendInVowels({ at, opening, measured }, held) {
  const gaps = new Map(measured.map(({ frame, face }) => [frame, face.opening]));
  for (const { first, last } of at.held) {
    held.tokens.push(...bends(opening.slice(first, last)));
    const seen = Array.from({ length: last - first }, (_, i) => gaps.get(first + i));
    if (!seen.includes(undefined)) held.frames.push(...bends(seen));
  }
}

function around(values, frame, choose) {
  return choose(values[frame - 1], values[frame], values[frame + 1]);
}

function shareOf(hits) {
  return hits.length > 0 ? hits.filter(Boolean).length / hits.length : Number.NaN;
}

function rowsOf(hits, held) {
  const one = (key, source, phones, name, target) => {
    const all = hits[source][phones];
    return row(`closures.${key}.${source}`, `${name} (${all.length})`, shareOf(all), 'percent', { target });
  };
  const least = { least: 0.85 };
  return [
    one('bilabial', 'tokens', 'bilabial', 'p b m shut, tokens: opening below 0.1', least),
    one('bilabial', 'frames', 'bilabial', 'p b m shut, frames: gap as at rest', least),
    one('labiodental', 'tokens', 'labiodental', 'f v tucked, tokens: tuck above 0.4', least),
    one('labiodental', 'frames', 'labiodental', 'f v nearly shut, frames'),
    one('vowel', 'tokens', 'vowel', 'vowels wrongly shut, tokens', { most: 0.1 }),
    one('vowel', 'frames', 'vowel', 'vowels wrongly shut, frames', { most: 0.1 }),
    row('closures.held', 'bend of the opening token inside long vowels', meanOr(held.tokens), 'fine'),
    row('closures.held.frames', 'bend of the gap inside long vowels, frames, face units', meanOr(held.frames), 'fine'),
  ];
}

function meanOr(values) {
  return values.length > 0 ? mean(values) : Number.NaN;
}
