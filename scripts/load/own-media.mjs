// Has each session got its own picture and its own sound? What was fetched is decoded and looked at.
import { execFile } from 'node:child_process';
import { filmSound } from '../live/segment-media.mjs';
import { countMarkers } from './marker.mjs';
import { THUMB } from './material.mjs';

const SOUND_RATE = 48_000;

/**
 * @param player what it fetched
 * @param thumbs of all sessions' portraits
 * @returns `{nearest, distance, markers, seconds}`: the session whose portrait the picture is most like and by how many levels
 *   it differs; how often each session's tone was heard, in how many seconds
 */
export async function ownMedia(player, thumbs) {
  const films = filmsOf(player);
  const markers = new Array(thumbs.length).fill(0);
  let seconds = 0;
  for (const film of films) {
    const sound = await filmSound(film.bytes);
    seconds += sound.length / SOUND_RATE;
    for (const [i, count] of countMarkers(sound, SOUND_RATE, thumbs.length).entries()) markers[i] += count;
  }
  const last = films.at(-1);
  if (!last) return { nearest: undefined, distance: undefined, markers, seconds };
  const picture = await smallPicture(last.bytes);
  return { ...nearestPortrait(picture, thumbs), markers, seconds };
}

/** @returns `{nearest, distance}`: index and mean absolute difference of levels, 0 to 255 */
export function nearestPortrait(picture, thumbs) {
  const distances = thumbs.map((thumb) => {
    let sum = 0;
    for (let i = 0; i < picture.length; i++) sum += Math.abs(picture[i] - thumb[i]);
    return sum / picture.length;
  });
  const distance = Math.min(...distances);
  return { nearest: distances.indexOf(distance), distance };
}

/** What was kept, as films: each begins with an init segment and an IDR picture and has no gap in it. */
function filmsOf({ pieces, inits }) {
  const films = [];
  for (const { bytes, initUri, independent, start, seconds } of pieces) {
    if (!bytes) continue;
    const film = films.at(-1);
    const goesOn = film && film.initUri === initUri && Math.abs(film.end - start) < 0.001;
    if (goesOn) {
      film.parts.push(bytes);
      film.end = start + seconds;
    } else if (independent) films.push({ initUri, end: start + seconds, parts: [inits.get(initUri), bytes] });
  }
  return films.map(({ parts }) => ({ bytes: Buffer.concat(parts) }));
}

/** A picture from the film's beginning, made small, RGB. */
function smallPicture(film) {
  return new Promise((resolve, reject) => {
    const filter = `scale=${THUMB}:${THUMB}:flags=area,format=rgb24`;
    const args = ['-nostdin', '-v', 'error', '-threads', '1', '-i', 'pipe:0', '-vf', filter, '-frames:v', '1'];
    const child = execFile(
      'ffmpeg',
      [...args, '-f', 'rawvideo', '-'],
      { encoding: 'buffer', maxBuffer: 1 << 24 },
      (error, picture) => (error ? reject(error) : resolve(picture)),
    );
    // It has what it wants before the film is over.
    child.stdin.on('error', () => {});
    child.stdin.end(film);
  });
}
