import { createHash } from 'node:crypto';
import { parse, type types } from 'hls-parser';
import { Parser } from 'm3u8-parser';
import { RULES } from './conformance-rules.js';
import { type Fragments, nalTypes, readFragments } from './fragments.js';
import { readPlaylist, type SeenPart, type SeenPlaylist, type SeenSegment } from './seen-playlist.js';

const MILLISECOND = 0.001_001;
const SOUND_FRAME_SECONDS = 1024 / 48_000;

/**
 * Watches a live stream as a careful player would: give it every playlist in order, and it fetches what they name. Breaches
 * are collected by rule, so that one test can be made of each.
 */
export class ConformanceChecker {
  readonly #fetch: (uri: string) => Promise<Uint8Array | undefined>;
  /** How often each rule was looked at, and how it was broken. */
  readonly checked = new Map<number, number>();
  readonly breaches = new Map<number, string[]>();
  readonly segments = new Map<number, SeenSegment>();
  readonly #partsOf = new Map<number, SeenPart[]>();
  readonly #bytes = new Map<string, Uint8Array>();
  /** Parts whose tag is gone, and the time on the timeline when it was there at last. */
  readonly #partsGone = new Map<string, number>();
  #last: SeenPlaylist | undefined;
  #time = 0;
  /** When the last playlist came, by the machine's clock, milliseconds. */
  #seenAt = 0;

  /** @param fetch gives the bytes for a URI, undefined where there are none */
  constructor(fetch: (uri: string) => Promise<Uint8Array | undefined>) {
    this.#fetch = fetch;
  }

  /** Takes the next playlist of a live stream, and fetches what is new in it. */
  async see(text: string): Promise<void> {
    this.#seenAt = performance.now();
    const playlist = readPlaylist(text);
    this.#oracles(text, playlist);
    this.#header(text, playlist);
    for (const segment of [...playlist.segments, ...(playlist.open ? [playlist.open] : [])]) {
      this.#segment(segment, playlist);
    }
    this.#sequence(playlist);
    this.#edge(playlist);
    this.#last = playlist;
    await this.#download(playlist);
  }

  /**
   * Takes a delta update and the full playlist of the same moment, both seen after the last that `see` took.
   * @returns false when too many playlists were missed since: a player asks for a delta update only where the playlist that
   *   it has is no older than half of the skip boundary (6.3.7).
   */
  seeDelta(deltaText: string, fullText: string): boolean {
    const delta = readPlaylist(deltaText);
    const full = readPlaylist(fullText);
    const newest = this.#last?.segments.at(-1)?.number ?? 0;
    if (full.segments.at(-1)!.number - newest > 3) return false;
    const tags = delta.lines.filter((line) => line.startsWith('#EXT-X-SKIP'));
    this.#check(2, delta.version >= 9, `version ${delta.version}`);
    this.#check(37, tags.length === 1 && delta.skipped > 0, `${tags.length} EXT-X-SKIP`);
    this.#check(37, delta.mediaSequence === full.mediaSequence, 'the media sequence differs');
    for (const { number } of full.segments.slice(0, delta.skipped)) {
      this.#check(37, this.segments.has(number), `segment ${number} was skipped and never seen`);
    }
    // What was skipped is known from before, and what it says of later segments holds.
    const known = this.segments.get(delta.mediaSequence + delta.skipped - 1);
    const discontinuities = (known?.discontinuitySequence ?? 0) - delta.discontinuitySequence;
    let map = known?.map;
    const merged = delta.segments.map((segment) => {
      map = segment.map ?? map;
      return { ...segment, map, discontinuitySequence: segment.discontinuitySequence + discontinuities };
    });
    const expected = full.segments.slice(delta.skipped);
    this.#check(37, JSON.stringify(merged) === JSON.stringify(expected), 'merged it is not the full playlist');
    const tail = (lines: readonly string[]) => lines.slice(lines.lastIndexOf(full.segments.at(-1)!.uri!)).join('\n');
    this.#check(37, tail(delta.lines) === tail(full.lines), 'its edge is not that of the full playlist');
    return true;
  }

  /** Checks the media of all that was seen; call it once, after the last playlist. */
  async finish(): Promise<void> {
    for (const [uri, bytes] of this.#bytes) {
      const again = await this.#fetch(uri);
      if (again) this.#check(26, digest(again) === digest(bytes), uri);
    }
    let before: { segment: SeenSegment; media: Fragments } | undefined;
    for (const segment of [...this.segments.values()].sort((a, b) => a.number - b.number)) {
      const init = this.#bytes.get(segment.map ?? '');
      const bytes = this.#bytes.get(segment.uri ?? '');
      if (!init || !bytes) continue;
      const media = readFragments(init, [bytes]);
      this.#init(init);
      this.#media(segment, media, before);
      this.#parts(segment, init, bytes);
      before = { segment, media };
    }
  }

  /** Rules that were broken, in words. */
  get report(): string[] {
    return [...this.breaches].flatMap(([rule, details]) =>
      details.slice(0, 3).map((detail) => `rule ${rule} (${RULES[rule]}): ${detail}`),
    );
  }

  #header(text: string, playlist: SeenPlaylist): void {
    const { lines, targetDurations, serverControls, partTarget, segments } = playlist;
    this.#check(1, text.startsWith('#EXTM3U\n') && lines.lastIndexOf('#EXTM3U') === 0, text.slice(0, 10));
    const target = Number(targetDurations[0]);
    this.#check(3, targetDurations.length === 1 && Number.isInteger(target), String(targetDurations));
    if (this.#last) this.#check(4, targetDurations[0] === this.#last.targetDurations[0], String(target));
    const first = lines.findIndex((line) => /^#EXTINF|^#EXT-X-PART:/.test(line));
    const sequence = lines.findIndex((line) => line.startsWith('#EXT-X-MEDIA-SEQUENCE'));
    this.#check(5, sequence >= 0 && sequence < first, `line ${sequence}`);
    this.#check(6, playlist.mediaSequence >= 1, String(playlist.mediaSequence));
    this.#check(7, segments.length >= 1, 'no segment');
    this.#check(8, partTarget !== undefined && partTarget > 0, 'no EXT-X-PART-INF');
    this.#check(
      9,
      serverControls.length === 1 && serverControls[0]!['CAN-BLOCK-RELOAD'] === 'YES',
      'no server control',
    );
    const control = serverControls[0] ?? {};
    const partHoldBack = Number(control['PART-HOLD-BACK']);
    this.#check(10, partHoldBack >= 3 * (partTarget ?? 0) - 1e-9, control['PART-HOLD-BACK']!);
    this.#check(11, Number(control['HOLD-BACK']) >= 3 * target, control['HOLD-BACK']!);
    this.#check(12, Number(control['CAN-SKIP-UNTIL']) >= 6 * target, control['CAN-SKIP-UNTIL']!);
    const map = lines.findIndex((line) => line.startsWith('#EXT-X-MAP'));
    this.#check(19, map >= 0 && map < first, `EXT-X-MAP in line ${map}`);
    const ends = lines.filter((line) => line === '#EXT-X-ENDLIST').length;
    if (playlist.ended) this.#check(49, ends === 1 && playlist.hints.length === 0, `${ends} ends`);
  }

  #segment(segment: SeenSegment, { targetDurations, partTarget = 0 }: SeenPlaylist): void {
    const { number, uri, duration, parts, lateTags, programDateTime } = segment;
    if (duration !== undefined)
      this.#check(3, Math.round(duration) <= Number(targetDurations[0]), `EXTINF ${duration}`);
    for (const [i, part] of parts.entries()) {
      this.#check(13, part.duration <= partTarget, `${part.duration} s`);
      if (i < parts.length - 1) this.#check(14, part.duration >= 0.85 * partTarget, `${part.duration} s`);
    }
    if (parts[0]) this.#check(16, parts[0].independent, `segment ${number}`);
    if (parts.length > 0 && duration !== undefined) {
      const sum = parts.reduce((total, part) => total + part.duration, 0);
      this.#check(17, Math.abs(sum - duration) < MILLISECOND, `${sum} for ${duration}`);
    }
    this.#check(20, Number.isFinite(programDateTime), `segment ${number}`);
    this.#check(21, lateTags.length === 0, lateTags.join());
    const known = this.segments.get(number);
    if (known) {
      this.#check(5, uri === known.uri && duration === known.duration, `segment ${number} has become another`);
      this.#check(27, segment.discontinuitySequence === known.discontinuitySequence, `segment ${number}`);
    } else if (uri !== undefined) this.segments.set(number, segment);
    const before = this.segments.get(number - 1);
    if (before) {
      const step = (programDateTime! - before.programDateTime!) / 1000;
      this.#check(20, Math.abs(step - before.duration!) < MILLISECOND, `${step} s after one of ${before.duration} s`);
    }
    if (parts.length >= (this.#partsOf.get(number)?.length ?? 0)) this.#partsOf.set(number, [...parts]);
  }

  /** From the playlist before to this one. */
  #sequence(playlist: SeenPlaylist): void {
    const last = this.#last;
    if (!last) return;
    this.#check(5, playlist.mediaSequence >= last.mediaSequence, `${last.mediaSequence} to ${playlist.mediaSequence}`);
    const removed = last.segments.filter(({ uri }) => !playlist.segments.some((segment) => segment.uri === uri));
    this.#check(
      5,
      removed.length === Math.min(last.segments.length, playlist.mediaSequence - last.mediaSequence),
      `${removed.length} removed, but ${last.mediaSequence} became ${playlist.mediaSequence}`,
    );
  }

  /** The end of the playlist, where parts come and go. */
  #edge(playlist: SeenPlaylist): void {
    const target = Number(playlist.targetDurations[0]);
    const listed = partsOf(playlist);
    const start = new Map<number, number>();
    let time = (playlist.segments[0]?.programDateTime ?? 0) / 1000;
    for (const { number, duration = 0 } of playlist.segments) {
      start.set(number, time);
      time += duration;
    }
    if (playlist.open) {
      start.set(playlist.open.number, time);
      time += playlist.open.parts.reduce((sum, { duration }) => sum + duration, 0);
    }
    const timeBefore = this.#time;
    this.#time = time;
    for (const segment of [...playlist.segments, ...(playlist.open ? [playlist.open] : [])]) {
      if (segment.parts.length === 0) continue;
      const age = time - start.get(segment.number)!;
      this.#check(23, age <= 3 * target + MILLISECOND, `a part of segment ${segment.number} is ${age} s old`);
    }
    if (!playlist.ended) {
      const good = playlist.hints.length === 1 && playlist.hints[0]!.TYPE === 'PART';
      this.#check(22, good, `${playlist.hints.length} hints`);
    }
    const last = this.#last;
    if (!last) return;
    const before = partsOf(last).map(({ uri }) => uri);
    const now = listed.map(({ uri }) => uri);
    const fresh = now.slice(now.indexOf(before.at(-1)!) + 1);
    // A playlist that was missed in between says nothing about the hint.
    if (before.length > 0 && now.includes(before.at(-1)!) && fresh.length > 0) {
      this.#check(22, fresh[0] === last.hints[0]?.URI, `hinted ${last.hints[0]?.URI}, came ${fresh[0]}`);
    }
    for (const uri of before) if (!now.includes(uri)) this.#partsGone.set(uri, timeBefore);
  }

  async #download(playlist: SeenPlaylist): Promise<void> {
    const maps = playlist.segments.map(({ map }) => map).filter((map) => map !== undefined);
    const uris = [...maps, ...partsOf(playlist).map(({ uri }) => uri), ...playlist.segments.map(({ uri }) => uri!)];
    for (const uri of uris) {
      if (this.#bytes.has(uri)) continue;
      const bytes = await this.#fetch(uri);
      this.#check(26, bytes !== undefined, `${uri} is listed and cannot be had`);
      if (bytes) this.#bytes.set(uri, bytes);
    }
    const target = Number(playlist.targetDurations[0]);
    for (const [uri, gone] of this.#partsGone) {
      if (this.#time - gone > 3 * target) continue;
      const again = await this.#fetch(uri);
      // A stream in real time has gone on while all this was fetched.
      const age = this.#time - gone + (performance.now() - this.#seenAt) / 1000;
      this.#check(24, again !== undefined || age > 3 * target, `${uri}, ${age.toFixed(1)} s after it left`);
      const known = this.#bytes.get(uri);
      if (again && known) this.#check(26, digest(again) === digest(known), uri);
    }
  }

  #init(init: Uint8Array): void {
    const { boxes, movie } = readFragments(init, []);
    this.#check(19, boxes.join() === 'ftyp,moov' && movie.isFragmented, boxes.join());
  }

  #media(segment: SeenSegment, media: Fragments, before: { segment: SeenSegment; media: Fragments } | undefined): void {
    const [video] = media.video;
    const [sound] = media.sound;
    this.#check(48, video !== undefined, `segment ${segment.number} has no picture`);
    if (!video) return;
    this.#check(48, video.is_sync && nalTypes(video.data!).includes(5), `segment ${segment.number}`);
    for (const track of [media.video, media.sound]) {
      for (const [i, sample] of track.entries()) {
        const previous = track[i - 1];
        if (previous) this.#check(47, sample.dts === previous.dts + previous.duration, `segment ${segment.number}`);
      }
    }
    if (sound) {
      const offset = sound.dts / sound.timescale - video.dts / video.timescale;
      this.#check(47, Math.abs(offset) < SOUND_FRAME_SECONDS, `segment ${segment.number} is ${offset} s apart`);
    }
    if (before?.segment.number !== segment.number - 1) return;
    // That holds where another encoder takes over, too.
    for (const track of ['video', 'sound'] as const) {
      const last = before.media[track].at(-1);
      const next = media[track][0];
      if (last && next) this.#check(47, next.dts === last.dts + last.duration, `${track} of segment ${segment.number}`);
    }
  }

  #parts(segment: SeenSegment, init: Uint8Array, bytes: Uint8Array): void {
    const parts = this.#partsOf.get(segment.number) ?? [];
    const media = parts.map(({ uri }) => this.#bytes.get(uri)).filter((found) => found !== undefined);
    const lasted = parts.reduce((sum, { duration }) => sum + duration, 0);
    if (media.length < parts.length || Math.abs(lasted - segment.duration!) > MILLISECOND) return;
    this.#check(18, digest(Buffer.concat(media)) === digest(bytes), `segment ${segment.number}`);
    for (const [i, part] of parts.entries()) {
      const { video } = readFragments(init, [media[i]!]);
      const idr = video.some(({ data }) => nalTypes(data!).includes(5));
      this.#check(15, idr === part.independent, part.uri);
    }
  }

  #oracles(text: string, playlist: SeenPlaylist): void {
    let one: InstanceType<typeof types.MediaPlaylist>;
    try {
      one = parse(text) as InstanceType<typeof types.MediaPlaylist>;
    } catch (error) {
      this.#check(0, false, `hls-parser: ${error}`);
      return;
    }
    const other = new Parser();
    other.push(text);
    other.end();
    const { segments, open } = playlist;
    const whole = one.segments.filter(({ uri }) => uri !== '' && uri !== undefined);
    const facts = segments.map(({ uri, duration }) => `${uri} ${duration}`).join();
    this.#check(0, whole.map(({ uri, duration }) => `${uri} ${duration}`).join() === facts, 'hls-parser: segments');
    const second = other.manifest.segments.map(({ uri, duration }) => `${uri} ${duration}`);
    this.#check(0, second.join() === facts, 'm3u8-parser: segments');
    this.#check(0, one.mediaSequenceBase === playlist.mediaSequence, 'hls-parser: media sequence');
    this.#check(0, other.manifest.mediaSequence === playlist.mediaSequence, 'm3u8-parser: media sequence');
    const parts = partsOf(playlist).map(({ uri }) => uri);
    const theirs = one.segments.flatMap((segment) => segment.parts.filter(({ hint }) => !hint).map(({ uri }) => uri));
    this.#check(0, theirs.join() === parts.join(), 'hls-parser: parts');
    const preload = other.manifest.preloadSegment?.parts ?? [];
    this.#check(0, preload.length === (open?.parts.length ?? 0), 'm3u8-parser: parts of the open segment');
  }

  #check(rule: number, kept: boolean, detail: string): void {
    this.checked.set(rule, (this.checked.get(rule) ?? 0) + 1);
    if (kept) return;
    const details = this.breaches.get(rule) ?? [];
    details.push(detail);
    this.breaches.set(rule, details);
  }
}

function partsOf({ segments, open }: SeenPlaylist): SeenPart[] {
  return [...segments, ...(open ? [open] : [])].flatMap(({ parts }) => parts);
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
