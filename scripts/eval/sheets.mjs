// Pictures of what was made: contact sheets, strips of consecutive frames.
import sharp from 'sharp';
import { cut, toRgb } from './pictures.mjs';

/** Poses of a contact sheet by their tokens, those of the phones that the label table gives them. */
export function sheetPoses() {
  const voice = { speech: 1, voiced: 1 };
  return {
    rest: {},
    'open (ɑ)': { jaw: 0.78, open: 0.78, width: -0.05, teeth: 0.25, upper_raise: 0.35, lower_drop: 0.7, ...voice },
    'wide (i)': {
      jaw: 0.2,
      open: 0.3,
      width: 0.6,
      teeth: 0.7,
      upper_raise: 0.25,
      lower_drop: 0.35,
      stretch: 0.7,
      ...voice,
    },
    'round (u)': {
      jaw: 0.18,
      open: 0.2,
      width: -0.75,
      round: 1,
      protrude: 0.8,
      upper_raise: 0.1,
      lower_drop: 0.15,
      ...voice,
    },
    'closed (p)': { jaw: 0.1, lip_closure: 1, press: 1, speech: 1 },
    'tucked (f)': { jaw: 0.12, open: 0.07, tuck: 1, teeth: 0.7, upper_raise: 0.3, speech: 1 },
    blink: { blink_left: 1, blink_right: 1 },
    // As far as a head may turn before a single picture cannot follow.
    'turned 15°': { yaw: 0.26, pitch: -0.05 },
  };
}

/** Pictures in a grid, each with a word on it. @param tiles `[{word, picture}]` of one size */
export async function writeGrid(path, tiles, columns) {
  const { width, height } = tiles[0].picture;
  const rows = Math.ceil(tiles.length / columns);
  const pieces = [];
  for (const [i, { word, picture }] of tiles.entries()) {
    const place = { left: (i % columns) * width, top: Math.floor(i / columns) * height };
    pieces.push({ input: Buffer.from(picture.data), raw: { width, height, channels: 3 }, ...place });
    if (word) pieces.push({ input: label(word, width), ...place });
  }
  await sharp({ create: { width: width * columns, height: height * rows, channels: 3, background: '#202020' } })
    .composite(pieces)
    .jpeg({ quality: 86 })
    .toFile(path);
}

function label(word, width) {
  const text = word.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${Math.min(width, 12 + 10 * word.length)}" height="24">` +
      `<rect width="100%" height="100%" fill="#000" fill-opacity=".55"/>` +
      `<text x="6" y="17" font-family="sans-serif" font-size="15" fill="#fff">${text}</text></svg>`,
  );
}

/** Side of a strip's pictures, pixels; and of what they show, in face units. */
const STRIP_SIZE = 200;
const STRIP_VIEW = { blink: 1.5, lips: 1 };

/**
 * Consecutive frames around a moment, one row per moment: the eyes where the word is `blink`, otherwise the mouth.
 * @param rows `[{word, frames: [{frame, face}]}]`, as many frames in each; the word is written on the middle one
 */
export async function writeStrips(path, rows, { width, height }) {
  const tiles = [];
  for (const { word, frames } of rows) {
    const eyes = word === 'blink';
    for (const [i, { frame, face }] of frames.entries()) {
      const side = Math.round(face.unit * (eyes ? STRIP_VIEW.blink : STRIP_VIEW.lips));
      const [x, y] = (eyes ? eyesOf(face) : face.mouth).map((middle) => Math.round(middle - side / 2));
      const picture = await scaled(cut(toRgb(frame, width, height), x, y, side, side), STRIP_SIZE);
      tiles.push({ word: i === Math.floor(frames.length / 2) ? word : '', picture });
    }
  }
  await writeGrid(path, tiles, rows[0].frames.length);
}

function eyesOf({ landmarks }) {
  return [0, 1].map((axis) => (landmarks[33 * 3 + axis] + landmarks[263 * 3 + axis]) / 2);
}

async function scaled({ width, height, data }, size) {
  const raw = sharp(Buffer.from(data), { raw: { width, height, channels: 3 } }).resize(size, size);
  return { width: size, height: size, data: await raw.raw().toBuffer() };
}
