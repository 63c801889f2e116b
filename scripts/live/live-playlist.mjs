// A live session's media playlist, as a player of Low-Latency HLS reads it (RFC 8216bis).
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * What a playlist lists.
 * @param fps frames a second, which durations are turned into
 * @returns `{segments, open, ended}`; a segment is `{number, uri, initUri, startsAt, frames, discontinuity, parts}` with
 *   `startsAt` in epoch milliseconds; `open` is the one that is being filled: it has parts, but no `uri`
 */
export function parseLivePlaylist(text, fps) {
  const segments = [];
  let number = 1;
  let initUri;
  let next = { parts: [], discontinuity: false };
  for (const line of text.split('\n')) {
    const [tag] = line.split(':', 1);
    const value = line.slice(tag.length + 1);
    if (tag === '#EXT-X-MEDIA-SEQUENCE') number = Number(value);
    else if (tag === '#EXT-X-MAP') initUri = quoted(value, 'URI');
    else if (tag === '#EXT-X-DISCONTINUITY') next.discontinuity = true;
    else if (tag === '#EXT-X-PROGRAM-DATE-TIME') next.startsAt = Date.parse(value);
    else if (tag === '#EXTINF') next.frames = Math.round(Number.parseFloat(value) * fps);
    else if (tag === '#EXT-X-PART') {
      const frames = Math.round(Number(/DURATION=([\d.]+)/.exec(value)[1]) * fps);
      next.parts.push({ uri: quoted(value, 'URI'), frames });
    } else if (line && !line.startsWith('#')) {
      segments.push({ ...next, number: number++, uri: line, initUri });
      next = { parts: [], discontinuity: false };
    }
  }
  const frames = next.parts.reduce((sum, part) => sum + part.frames, 0);
  const open = next.parts.length > 0 ? { ...next, number, initUri, frames } : undefined;
  return { segments, open, ended: text.includes('#EXT-X-ENDLIST') };
}

function quoted(attributes, name) {
  return new RegExp(`${name}="([^"]*)"`).exec(attributes)[1];
}

/** Epoch milliseconds at which what is listed ends, by the playlist's own programme time. */
export function endsAt({ segments, open }, fps) {
  const last = open ?? segments.at(-1);
  return last.startsAt + (last.frames * 1000) / fps;
}

/** Between a playlist that was refused and the next attempt. */
const RETRY_MILLISECONDS = 200;

/**
 * Follows a live playlist by blocking reloads, part by part, until its end. Where the part does not come in time (503) it
 * asks again, as players do; `onRefused` is told.
 * @returns of each answer `{at, playlist}`: when it was whole here, by `now`, and what `parseLivePlaylist` says
 */
export async function* followPlaylist(url, { fps, now, signal, onRefused }) {
  let directives = '';
  for (;;) {
    const response = await fetch(url + directives, { signal });
    const text = await response.text();
    const at = now();
    if (response.status === 503) {
      onRefused?.(at);
      await sleep(RETRY_MILLISECONDS, undefined, { signal });
      continue;
    }
    if (!response.ok) throw new Error(`${url}${directives} answered ${response.status}: ${text}`);
    const playlist = parseLivePlaylist(text, fps);
    yield { at, playlist };
    if (playlist.ended) return;
    const { segments, open } = playlist;
    const [msn, part] = open ? [open.number, open.parts.length] : [segments.at(-1).number + 1, 0];
    directives = `?_HLS_msn=${msn}&_HLS_part=${part}`;
  }
}
