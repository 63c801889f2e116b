import { NOTHING_STORED } from './journal-reader.js';
import type { Accepted, AcceptedEntry } from './session-journal.js';

/** Something to be taken in again. */
export interface Retaken extends AcceptedEntry {
  /** Number of its sound, where it has one. */
  readonly sound: number | undefined;
  /** Seconds at its beginning that were heard already. */
  readonly heardSeconds: number;
}

export interface Recovery {
  readonly retaken: readonly Retaken[];
  /** The newest `chunk_index` that was accepted. */
  readonly lastIndex: number | undefined;
  /** Sounds that were ever accepted. */
  readonly sounds: number;
  /**
   * To be noted first: where a live talk goes on. What was noted of frames that the stream has lost would count again once it has
   * others in their place. undefined where there is no such note.
   */
  readonly shown: Extract<Accepted, { readonly kind: 'shown' }> | undefined;
}

/**
 * What a session that comes back takes in again. Pure.
 *
 * A fed talk takes all: its frames follow from its speech, and those that the stream has are not made again. A live talk
 * takes what nobody has heard: behind the last interruption, and behind what was shown before the first frame that the stream
 * does not have.
 * @param frame that frame, of a live talk; undefined for a fed one
 * @param soundBeyondSeconds sound that the stream has of that frame already, as its packets reach beyond its pictures
 */
export function recover(
  entries: readonly AcceptedEntry[],
  frame: number | undefined,
  soundBeyondSeconds = 0,
): Recovery {
  let sounds = 0;
  let lastIndex: number | undefined;
  let heard: { sound: number; seconds: number; frame?: number } = { sound: 0, seconds: 0 };
  const all: (AcceptedEntry & { readonly sound: number | undefined; readonly soundsBefore: number })[] = [];
  const counting = withoutTakenBack(entries);
  for (const entry of counting) {
    const { accepted, bytes } = entry;
    const { kind } = accepted;
    if (kind === 'compacted') {
      sounds = accepted.sounds;
      lastIndex = accepted.lastIndex;
      heard = { sound: sounds, seconds: 0 };
    } else if (kind === 'interrupted') {
      heard = { sound: sounds, seconds: 0 };
    } else if (kind === 'shown') {
      const later = accepted.sound >= heard.sound;
      if (frame !== undefined && accepted.frame <= frame && later) heard = accepted;
    } else if (kind !== 'complete' && kind !== 'failed') {
      if (kind === 'chunk') lastIndex = accepted.index ?? lastIndex;
      all.push({ ...entry, soundsBefore: sounds, sound: bytes.length > 0 ? sounds++ : undefined });
    }
  }
  const retaken = all.flatMap(({ soundsBefore, ...entry }) => {
    const { sound, accepted } = entry;
    const ends = accepted.kind === 'finish' || (accepted.kind === 'chunk' && accepted.final);
    // Words about sound that was heard are forgotten with it, but for the end of the talk.
    if (sound === undefined && !ends && soundsBefore <= heard.sound) return [];
    if (sound === undefined || sound > heard.sound) return [{ ...entry, heardSeconds: 0 }];
    if (sound === heard.sound) {
      const beyond = heard.frame === frame && heard.seconds > 0 ? soundBeyondSeconds : 0;
      return [{ ...entry, heardSeconds: heard.seconds + beyond }];
    }
    // It was heard, but it may be the one that says that nothing follows.
    return ends ? [{ ...entry, bytes: NOTHING_STORED, sound: undefined, heardSeconds: 0 }] : [];
  });
  const lost = counting.some(({ accepted }) => accepted.kind === 'shown' && accepted.frame > (frame ?? accepted.frame));
  const { sound, seconds, frame: heardAt = frame ?? 0 } = heard;
  const shown = lost ? ({ kind: 'shown', frame: heardAt, sound, seconds } as const) : undefined;
  return { retaken, lastIndex, sounds, shown };
}

/** Frames go forward, but for a life that went back behind the frames of one before it: what was noted of those is void. */
function withoutTakenBack(entries: readonly AcceptedEntry[]): AcceptedEntry[] {
  let least = Number.POSITIVE_INFINITY;
  return entries
    .toReversed()
    .filter(({ accepted }) => {
      if (accepted.kind !== 'shown') return true;
      if (accepted.frame >= least) return false;
      least = accepted.frame;
      return true;
    })
    .reverse();
}

/**
 * What a live talk must remember of all that it has accepted. Pure.
 * @param frame the first one that the stream may lack when the service comes back
 */
export function unsaid(entries: readonly AcceptedEntry[], frame: number): AcceptedEntry[] {
  const { retaken, lastIndex, sounds } = recover(entries, frame);
  const first = retaken.find(({ sound }) => sound !== undefined);
  const heardSeconds = first?.heardSeconds ?? 0;
  const words: Accepted[] = [{ kind: 'compacted', lastIndex, sounds: first?.sound ?? sounds }];
  if (heardSeconds > 0) words.push({ kind: 'shown', frame, sound: first!.sound!, seconds: heardSeconds });
  return [
    ...words.map((accepted) => ({ accepted, bytes: NOTHING_STORED })),
    ...retaken.map(({ accepted, bytes }) => ({ accepted, bytes })),
    ...withoutTakenBack(entries).filter(({ accepted }) => accepted.kind === 'shown' && accepted.frame > frame),
    // That it is over is not to be forgotten with what it said.
    ...entries.filter(({ accepted }) => accepted.kind === 'failed' || accepted.kind === 'complete'),
  ];
}
