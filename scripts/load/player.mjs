// A stand-in for a player: it follows a playlist and fetches every piece as hls.js would, and shows nothing.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseLivePlaylist } from '../live/live-playlist.mjs';
import { withQuery } from './http-client.mjs';

export const FPS = 25;
/** Media that is kept to be looked at afterwards. */
const KEPT_SECONDS = 120;
const RETRY_MILLISECONDS = 200;

/**
 * Follows one stream: by blocking reloads and part by part where it is of low latency, else by asking once a second.
 *
 * `pieces` are parts or segments: `{start, seconds, listedAt, at, initUri, independent, bytes}`, `start` in epoch seconds by the
 * playlist's own programme time, `listedAt` and `at` (listed, fetched) in epoch milliseconds; of old ones the bytes are gone.
 */
export class Player {
  pieces = [];
  inits = new Map();
  /** What it would hold back, by the playlist, in seconds. */
  holdBack;
  /** Playlists that did not come in time, and segments that had left before they were fetched. */
  refused = 0;
  missed = 0;
  #client;
  #path;
  #next = { number: 1, part: 0, frames: 0 };
  #fetching = Promise.resolve();
  #forgotten = 0;

  /** @param path of the media playlist */
  constructor(client, path) {
    this.#client = client;
    this.#path = path;
  }

  /** Until the playlist ends or the signal says so. @throws what a request fails with */
  async follow(signal) {
    try {
      let path = this.#path;
      for (;;) {
        const asked = Date.now();
        const answer = await this.#client.send(path, { headers: { 'accept-encoding': 'gzip' }, signal });
        const listedAt = Date.now();
        if (answer.status === 503) {
          this.refused++;
          await sleep(RETRY_MILLISECONDS, undefined, { signal });
          continue;
        }
        if (answer.status !== 200) throw new Error(`The playlist was answered with ${answer.status}: ${answer.body}`);
        const text = answer.body.toString();
        const playlist = parseLivePlaylist(text, FPS);
        this.holdBack ??= holdBackOf(text);
        const news = this.#take(playlist, listedAt, signal);
        if (playlist.ended) break;
        if (text.includes('CAN-BLOCK-RELOAD=YES'))
          path = withQuery(this.#path, `_HLS_msn=${this.#next.number}&_HLS_part=${this.#next.part}`);
        else await sleep(Math.max(0, asked + (news ? 1000 : 500) - Date.now()), undefined, { signal });
      }
      await this.#fetching;
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Has fetched what is new. @returns whether anything is */
  #take({ segments, open }, listedAt, signal) {
    const known = this.#next;
    const oldest = segments[0] ?? open;
    if (oldest && oldest.number > this.#next.number) {
      // A player that joins is at the edge; one that is there already has lost something.
      const edge = Math.max(oldest.number, (open ?? segments.at(-1)).number - 1);
      if (this.pieces.length > 0) this.missed += oldest.number - this.#next.number;
      this.#next = { number: this.pieces.length > 0 ? oldest.number : edge, part: 0, frames: 0 };
    }
    for (const segment of open ? [...segments, open] : segments) {
      if (segment.number < this.#next.number) continue;
      const pieces = segment.parts.length > 0 ? segment.parts.slice(this.#next.part) : [whole(segment, this.#next)];
      for (const { uri, frames } of pieces) {
        const start = (segment.startsAt + (this.#next.frames * 1000) / FPS) / 1000;
        const independent = this.#next.part === 0;
        this.#fetch({ start, seconds: frames / FPS, listedAt, initUri: segment.initUri, independent, uri }, signal);
        this.#next = { number: segment.number, part: this.#next.part + 1, frames: this.#next.frames + frames };
      }
      if (segment.uri) this.#next = { number: segment.number + 1, part: 0, frames: 0 };
    }
    return this.#next !== known;
  }

  #fetch(piece, signal) {
    this.#fetching = this.#fetching.then(async () => {
      const { initUri } = piece;
      const at = (uri) => this.#client.addressOf(uri, this.#path);
      if (!this.inits.has(initUri)) this.inits.set(initUri, await this.#client.get(at(initUri), { signal }));
      piece.bytes = await this.#client.get(at(piece.uri), { signal });
      piece.at = Date.now();
      this.pieces.push(piece);
      this.#forget(piece.start - KEPT_SECONDS);
    });
    // Told by `follow`, which waits for it at the end; until then one failure would go unheard.
    this.#fetching.catch(() => {});
  }

  #forget(before) {
    while (this.pieces[this.#forgotten]?.start < before) this.pieces[this.#forgotten++].bytes = undefined;
  }
}

/** A segment whose parts are not listed any more; of one that was begun, what is left of it. */
function whole({ uri, frames }, next) {
  return { uri, frames: frames - next.frames };
}

/** RFC 8216bis 4.4.3.8: PART-HOLD-BACK; without low latency three target durations. */
function holdBackOf(text) {
  const part = /PART-HOLD-BACK=([\d.]+)/.exec(text);
  return part ? Number(part[1]) : 3 * Number(/#EXT-X-TARGETDURATION:(\d+)/.exec(text)[1]);
}
