// Watches live sessions for a while and times each frame on its way.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openViewer, startChromium } from './chromium.mjs';
import { followPlaylist } from './live-playlist.mjs';
import { LiveSession } from './live-session.mjs';
import { startStampedService } from './service.mjs';
import { sampleSpeech, utterance } from './speech.mjs';
import { clock } from './stamping.mjs';

const FPS = 25;
const SAMPLE_RATE = 24_000;
/** The player has found its place by then. */
const WARM_UP_SECONDS = 6;
/** An utterance with a click at its beginning so often; it is seen and heard within the time. */
const EVERY_SECONDS = 6;
const UTTERANCE_SECONDS = 3;
const CLICK_SECONDS = 0.02;

/**
 * @param options `root`: the repository, built; `sessions` beside each other, of which the first is watched in a browser;
 *   `seconds` to measure
 * @returns what `timesOf` takes
 */
export async function runLatency({ root, sessions: count, seconds }) {
  const browser = await startChromium();
  const handed = Array.from({ length: count }, () => []);
  const listed = Array.from({ length: count }, () => []);
  const fed = [];
  const stop = new AbortController();
  let service;
  try {
    service = await startStampedService({ root, quiet: true, onFrame: (frame) => handed[frame.session]?.push(frame) });
    const portrait = await readFile(join(root, 'clients/web/samples/portrait.jpg'));
    const sessions = [];
    for (let i = 0; i < count; i++) {
      sessions.push(await LiveSession.open(service.url, portrait, { audio_sample_rate: SAMPLE_RATE }));
    }
    const following = sessions.map((session, i) => follow(session.playlistUrl, listed[i], stop.signal));
    const viewer = await openViewer(browser, { root, origin: service.url, url: sessions[0].multivariantUrl });
    await sleep(WARM_UP_SECONDS * 1000);
    await viewer.take();
    const from = clock();
    const speech = utterance(await sampleSpeech(root, SAMPLE_RATE), SAMPLE_RATE, UTTERANCE_SECONDS, [CLICK_SECONDS]);
    while (clock() + EVERY_SECONDS * 1000 <= from + seconds * 1000) {
      fed.push(clock());
      await Promise.all(sessions.map((session) => session.feed(speech)));
      await sleep(EVERY_SECONDS * 1000 - (clock() - fed.at(-1)));
    }
    await sleep(Math.max(0, from + seconds * 1000 - clock()));
    const notes = await viewer.take();
    const to = clock();
    stop.abort();
    await Promise.all(following);
    return { from, to, handed, listed, fed, notes };
  } finally {
    stop.abort();
    await browser.close();
    await service?.stop();
  }
}

/** Notes of each part when it is listed: `{lastPosition, at}`. Begins with the session's first frame. */
async function follow(url, list, signal) {
  let known = 0;
  try {
    for await (const { at, playlist } of followPlaylist(url, { fps: FPS, now: clock, signal })) {
      for (const { end } of partEnds(playlist)) {
        if (end <= known) continue;
        known = end;
        list.push({ lastPosition: end - 1, at });
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Where each listed part ends, in frames of the timeline; segments are whole seconds unless FFmpeg died. */
function partEnds({ segments, open }) {
  const all = open ? [...segments, open] : segments;
  return all.flatMap(({ number, parts }) => {
    let end = (number - 1) * FPS;
    return parts.map((part) => {
      end += part.frames;
      return { end };
    });
  });
}
