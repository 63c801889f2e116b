// Parts 4, 5 and 6 on each portrait: is it still this person, how near is the neutral frame to the picture, do the eyes
// shut; and what there is to look at.
import { readdir, readFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { FaceTracker } from './face-measure.mjs';
import { meanPairCosine } from './identity.mjs';
import { readPictures, writeFilm } from './media.mjs';
import { psnr, toI420, toRgb } from './pictures.mjs';
import { row } from './rows.mjs';
import { sheetPoses, writeGrid, writeStrips } from './sheets.mjs';
import { cosine, mean, stretchesAbove } from './statistics.mjs';
import { TOKENS } from './tokens.mjs';

/** Of the frames of speech, one in this many is compared with the picture. */
const EVERY = 10;
/**
 * Mean cosine of pictures of different people (docs/portrait-pack.md): what the embedding says of strangers. Cosines are
 * told on a second scale too, where a stranger is 0 and the picture itself 1.
 */
const STRANGER = 0.834;

/** dB that the neutral frame should come near the picture by. */
const LEAST_PSNR = 38;
/** Pictures between two of one person that are compared. */
const APART = 40;

/** `[{name, picture, source}]` of portraits; pictures without a face are told of and left out. */
export async function readPortraits(subject, paths, progress) {
  const portraits = [];
  for (const path of paths) {
    const picture = await subject.decode(await readFile(path));
    const source = await subject.source(picture);
    if (source) portraits.push({ name: basename(path, extname(path)), picture, source });
    else progress(`${path}: no face was found, left out`);
  }
  return portraits;
}

export async function listPortraits(folder) {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => /\.(png|jpe?g|webp)$/i.test(name))
    .sort()
    .map((name) => join(folder, name));
}

/**
 * @param clips of talking people, to tell what the embedding says of two pictures of one person; none will do
 * @param how `out`, the folder for sheets and films; `film`, whether there are to be films
 * @returns `{rows, details}`
 */
export async function evaluatePortraits(subject, embedder, { portraits, clips, wave }, { out, film }, progress) {
  const details = [];
  for (const [i, portrait] of portraits.entries()) {
    progress(`${portrait.name} (${i + 1} of ${portraits.length})`);
    details.push(await evaluatePortrait(subject, embedder, portrait, wave, { out, film }));
  }
  progress('the embedding itself');
  return { rows: [...rowsOf(details), ...(await proofRows(subject, embedder, portraits, clips))], details };
}

/** What the embedding says of different people and of one person. */
async function proofRows(subject, embedder, portraits, clips) {
  const embedAll = (faces) => Promise.all(faces.map(({ image, landmarks }) => embedder.embed(image, landmarks)));
  const rows = [];
  if (portraits.length > 1) {
    const strangers = meanPairCosine(await embedAll(portraits.map(({ source }) => source)));
    rows.push(row('proof.strangers', 'the pictures of different people: mean cosine', strangers, 'fine'));
  }
  const pairs = [];
  for (const path of clips) {
    const faces = [];
    let index = 0;
    for await (const image of readPictures(path, 512)) {
      const [face] = index === 0 || index === APART ? await subject.faces.analyser.analyse(image) : [];
      if (face) faces.push({ image, landmarks: face.landmarks });
      if (index++ === APART) break;
    }
    if (faces.length === 2) pairs.push(meanPairCosine(await embedAll(faces)));
  }
  const name = `two pictures of one person in a clip, ${APART} pictures apart: mean cosine`;
  if (pairs.length > 0) rows.push(row('proof.same', name, mean(pairs), 'fine'));
  return rows;
}

async function evaluatePortrait(subject, embedder, { name, picture, source }, wave, { out, film }) {
  const { width, height } = subject.size;
  const avatar = await subject.open(picture);
  const embed = async (image, tracker = new FaceTracker(subject.faces)) => {
    const face = await tracker.measure(image);
    return face && { face, embedding: await embedder.embed(image, face.landmarks) };
  };
  const neutral = await subject.drawPose(avatar, {});
  const original = toI420(source.image);
  const photo = await embed(source.image);
  const likeness = async (frame, tracker) => {
    const seen = await embed(toRgb(frame, width, height), tracker);
    // A face that is not found is no likeness at all.
    return photo && seen ? cosine(photo.embedding, seen.embedding) : 0;
  };
  const itself = await likeness(original);
  const same = (await likeness(neutral)) / itself;

  const poses = poseMeasures(await drawSheet(subject, avatar, source, join(out, `sheet-${name}.jpg`)));
  const tokens = await subject.listen(avatar, wave);
  const speaking = [];
  const frames = [];
  const blink = blinkFrames(subject.curve(tokens, 'blink_left'));
  const strip = [];
  const tracker = new FaceTracker(subject.faces);
  let index = 0;
  for await (const frame of subject.draw(avatar, film ? tokens : everyTenth(tokens))) {
    const at = film ? index : index * EVERY;
    if (at % EVERY === 0) speaking.push((await likeness(frame, tracker)) / itself);
    if (film) frames.push(frame);
    if (film && blink.includes(at)) {
      const face = await new FaceTracker(subject.faces).measure(toRgb(frame, width, height));
      if (face) strip.push({ frame, face });
    }
    index++;
  }
  await avatar.close();
  if (film) await writeFilm(join(out, `${name}.mp4`), { frames, width, height, wave });
  if (strip.length === 7) {
    await writeStrips(join(out, `blink-${name}.jpg`), [{ word: 'blink', frames: strip }], { width, height });
  }
  return {
    name,
    psnr: psnr(neutral, original),
    itself,
    neutral: same,
    speaking: mean(speaking),
    least: Math.min(...speaking),
    ...poses,
  };
}

/** Draws and measures the poses of the contact sheet. */
async function drawSheet(subject, avatar, source, path) {
  const { width, height } = subject.size;
  const tiles = [{ word: 'the picture', picture: source.image }];
  const faces = {};
  for (const [word, values] of Object.entries(sheetPoses())) {
    const picture = toRgb(await subject.drawPose(avatar, values), width, height);
    tiles.push({ word, picture });
    faces[word] = await new FaceTracker(subject.faces).measure(picture);
  }
  await writeGrid(path, tiles, 3);
  return faces;
}

/** What the poses look like to the mesh, against the neutral frame. A face that is not found gives no number. */
function poseMeasures({ rest, 'open (ɑ)': open, 'round (u)': round, 'wide (i)': wide, blink }) {
  const ratio = (face, of) => (face && rest ? face[of] / rest[of] : Number.NaN);
  return {
    gap: open && rest ? open.opening - rest.opening : Number.NaN,
    round: ratio(round, 'width'),
    wide: ratio(wide, 'width'),
    eyes: ratio(blink, 'eyes'),
  };
}

/** The seven frames around the first blink that has room for them. */
function blinkFrames(lids) {
  const blink = stretchesAbove(lids, 0.5).find(({ peak }) => peak >= 3 && peak + 3 < lids.length);
  return blink ? [-3, -2, -1, 0, 1, 2, 3].map((near) => blink.peak + near) : [];
}

function everyTenth(tokens) {
  const D = TOKENS.length;
  const rows = [];
  for (let at = 0; at < tokens.length; at += EVERY * D) rows.push(...tokens.subarray(at, at + D));
  return Float32Array.from(rows);
}

function rowsOf(portraits) {
  const worst = (key, words = (value) => value.toFixed(3), better = 'most') => {
    const sorted = [...portraits].sort((a, b) => (better === 'most' ? a[key] - b[key] : b[key] - a[key]));
    return `worst ${words(sorted[0][key])} (${sorted[0].name})`;
  };
  const average = (key) => mean(portraits.map((portrait) => portrait[key]));
  const strict = (cosines) => (cosines - STRANGER) / (1 - STRANGER);
  const stranger = `strangers ${STRANGER.toFixed(2)}`;
  const reached = portraits.filter(({ psnr: value }) => value >= LEAST_PSNR).length;
  const ratio = (value) => value.toFixed(2);
  const decibel = (value) => `${value.toFixed(1)} dB`;
  return [
    row('identity.neutral', 'cosine to the picture, neutral', average('neutral'), 'fine', {
      target: { least: 0.9 },
      beside: `${worst('neutral')}; ${stranger}`,
    }),
    row('identity.speaking', 'cosine to the picture, speaking', average('speaking'), 'fine', {
      target: { least: 0.8 },
      beside: `${worst('speaking')}; ${stranger}`,
    }),
    row(
      'identity.neutral.strict',
      'neutral, where a stranger is 0 and the picture 1',
      strict(average('neutral')),
      'ratio',
    ),
    row('identity.speaking.strict', 'speaking, on the same scale', strict(average('speaking')), 'ratio', {
      beside: 'two pictures of one person in a clip: 0.87',
    }),
    row('picture.psnr', 'neutral frame against the picture: mean PSNR', average('psnr'), 'decibel', {
      target: { least: LEAST_PSNR },
      beside: `${reached} of ${portraits.length} reach it; ${worst('psnr', decibel)}`,
    }),
    row('picture.gap', 'gap of an open ɑ, more than at rest, face units', average('gap'), 'fine', {
      beside: `real clips reach 0.08 to 0.19; ${worst('gap')}`,
    }),
    row('picture.round', 'width of a round u, of that at rest', average('round'), 'ratio', {
      beside: `real clips reach 0.89 to 0.94; ${worst('round', ratio, 'least')}`,
    }),
    row('picture.wide', 'width of a wide i, of that at rest', average('wide'), 'ratio', {
      beside: `real clips reach 1.04 to 1.22; ${worst('wide', ratio)}`,
    }),
    row('picture.eyes', 'lids of a full blink: opening left, by the mesh', average('eyes'), 'percent', {
      beside: `blinks of real clips 46 to 61 %; ${worst('eyes', (value) => `${Math.round(value * 100)} %`, 'least')}`,
    }),
  ];
}
