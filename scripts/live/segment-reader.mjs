// A live stream's segments, read whole and in order: what they say of their times, their pictures' codes, their sound.
import { followPlaylist } from './live-playlist.mjs';
import { filmSound, pictureCodes, trackTimes } from './segment-media.mjs';

/** The tracks as the service numbers them; ticks of one frame. */
const VIDEO = 1;
const SOUND = 2;
const FRAME_TICKS = 512;
/** Segments that are decoded together: starting FFmpeg costs more than decoding one. */
const TOGETHER = 4;

/**
 * @param url of the media playlist
 * @param options `fps`, `width` of the pictures; `now`: milliseconds since the epoch; `signal`; `onPlaylist({at, playlist})`;
 *   `onRefused`, told of a playlist that did not come in time
 * @returns of each few segments `{firstFrame, codes, firstSample, sound}`: codes of the pictures from `firstFrame` on, and
 *   samples at 48 kHz from `firstSample` of the timeline on
 * @throws Error where decode times have a gap or overlap, or segments are missing
 */
export async function* readSegments(url, { fps, width, now, signal, onPlaylist, onRefused }) {
  let init;
  let known = 0;
  let nextFrame = 0;
  let nextSample = 0;
  /** The last segment of those before: sound is decoded from there on, because a packet needs the one before it. */
  let before;
  let waiting = [];
  const get = async (uri) => new Uint8Array(await (await fetched(new URL(uri, url), signal)).arrayBuffer());
  for await (const answer of followPlaylist(url, { fps, now, signal, onRefused })) {
    onPlaylist?.(answer);
    const { segments, ended } = answer.playlist;
    for (const segment of segments.filter(({ number }) => number > known)) {
      if (segment.number !== known + 1) throw new Error(`Segment ${known + 1} is missing: ${segment.number} follows.`);
      known = segment.number;
      init ??= await get(segment.initUri);
      const bytes = await get(segment.uri);
      const times = trackTimes(bytes);
      const [video, sound] = [times.get(VIDEO), times.get(SOUND)];
      if (video?.start !== nextFrame * FRAME_TICKS || sound?.start !== nextSample) {
        throw new Error(
          `Segment ${known} begins at tick ${video?.start} and sample ${sound?.start}, not at ${nextFrame * FRAME_TICKS} and ${nextSample}.`,
        );
      }
      waiting.push({ bytes, firstFrame: nextFrame, firstSample: nextSample });
      nextFrame = video.end / FRAME_TICKS;
      nextSample = sound.end;
    }
    if (waiting.length === 0 || (waiting.length < TOGETHER && !ended)) continue;
    const { firstFrame, firstSample } = waiting[0];
    const film = waiting.map(({ bytes }) => bytes);
    const leadIn = before ? [before.bytes] : [];
    const codes = await pictureCodes(Buffer.concat([init, ...film]), width, now());
    const sound = await filmSound(Buffer.concat([init, ...leadIn, ...film]));
    const ahead = firstSample - (before?.firstSample ?? 0);
    const expected = { frames: nextFrame - firstFrame, samples: nextSample - (before?.firstSample ?? 0) };
    if (codes.length !== expected.frames || sound.length !== expected.samples) {
      throw new Error(
        `${codes.length} pictures and ${sound.length} samples were decoded where ${expected.frames} and ${expected.samples} should be.`,
      );
    }
    before = waiting.at(-1);
    waiting = [];
    yield { firstFrame, codes, firstSample, sound: sound.subarray(ahead) };
  }
}

async function fetched(url, signal) {
  const response = await fetch(url, { signal });
  if (!response.ok) throw new Error(`${url} answered ${response.status}.`);
  return response;
}
