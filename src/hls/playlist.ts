/** A part as the playlist lists it. */
export interface ListedPart {
  /** File name, relative to the playlist. */
  readonly uri: string;
  readonly frames: number;
  /** True when it begins with an IDR picture. */
  readonly independent: boolean;
}

/** A segment as the playlist lists it; one that is being filled has no line of its own yet, only parts. */
export interface ListedSegment {
  /** Its place in the talk, from 1, which is its media sequence number. */
  readonly number: number;
  /** File name, relative to the playlist. */
  readonly uri: string;
  readonly firstFrame: number;
  readonly frames: number;
  readonly initUri: string;
  /** True for the first segment of an encoder that took over. */
  readonly discontinuity: boolean;
  /** When frame 0 would have been made by the clock of this segment, milliseconds since 1970. */
  readonly startedAt: number;
  readonly parts: readonly ListedPart[];
}

/**
 * `event`: grows from the first segment on, and is the replay of the whole talk after its end. `live`: a sliding window
 * with the newest parts. `replay`: the whole of a talk that was live.
 */
export type PlaylistKind = 'event' | 'live' | 'replay';

/** All that a media playlist is made from. */
export interface PlaylistState {
  readonly kind: PlaylistKind;
  readonly fps: number;
  /** Frames in every segment but the last before a discontinuity or the end; and in parts likewise. */
  readonly segmentFrames: number;
  readonly partFrames: number;
  /** The listed segments, oldest first, without gaps. */
  readonly segments: readonly ListedSegment[];
  /** The segment that is being filled, when it has a part. */
  readonly open?: ListedSegment | undefined;
  /** The part that comes next. */
  readonly nextPartUri: string;
  /** Discontinuities of segments that have left the window. */
  readonly discontinuitySequence: number;
  /** True once no segment will follow. */
  readonly ended: boolean;
  /** True when the player wants a delta update. */
  readonly skip: boolean;
}

/** The media playlist of a talk as it is now (RFC 8216bis). Pure. */
export function mediaPlaylist(state: PlaylistState): string {
  const { segments, open, ended } = state;
  const skipped = state.skip && !ended ? skippable(state) : 0;
  const lines = [
    // 4.4.1.1: "It MUST be the first line of every Media Playlist".
    '#EXTM3U',
    // 8: EXT-X-MAP in a playlist with segments of pictures and sound needs 6 or higher, EXT-X-SKIP 9.
    `#EXT-X-VERSION:${state.kind === 'live' ? 9 : 7}`,
    `#EXT-X-TARGETDURATION:${targetDuration(state)}`,
    ...(state.kind === 'live' ? serverControl(state) : []),
    // 4.4.3.2: "MUST appear before the first Media Segment". It starts at 1, because some players take 0 for absent, and
    // goes up by one with every segment that leaves, because segments are numbered so.
    `#EXT-X-MEDIA-SEQUENCE:${segments[0]?.number ?? 1}`,
    // 6.2.2: "If the server removes an EXT-X-DISCONTINUITY tag from the Media Playlist, it MUST increment the value of the
    // EXT-X-DISCONTINUITY-SEQUENCE tag so that the Discontinuity Sequence Numbers of the segments still in the Media
    // Playlist remain unchanged." A playlist that may lose one has the tag from its start.
    ...(state.kind === 'live' ? [`#EXT-X-DISCONTINUITY-SEQUENCE:${state.discontinuitySequence}`] : []),
    // 4.4.3.5: "Media Segments can only be added to the end" of an EVENT playlist. It stays so after the end: 6.2.1 names
    // what may change in a playlist, and its type is not among it. With EXT-X-ENDLIST it is the replay of the whole talk.
    // 6.2.2: "A Live Playlist MUST NOT contain the EXT-X-PLAYLIST-TYPE tag".
    ...(state.kind === 'event' ? ['#EXT-X-PLAYLIST-TYPE:EVENT'] : []),
    ...(state.kind === 'replay' ? ['#EXT-X-PLAYLIST-TYPE:VOD'] : []),
    // 4.4.2.1: every segment begins with an IDR picture.
    '#EXT-X-INDEPENDENT-SEGMENTS',
    // 4.4.2.2: a talk is heard from its first word, not from where its rendering has come to.
    ...(state.kind === 'live' ? [] : ['#EXT-X-START:TIME-OFFSET=0']),
    // 4.4.5.2: a delta update has it in place of the segments that it leaves out, and of all their tags.
    ...(skipped > 0 ? [`#EXT-X-SKIP:SKIPPED-SEGMENTS=${skipped}`] : []),
  ];
  let initUri = skipped > 0 ? segments[skipped - 1].initUri : undefined;
  for (const segment of segments.slice(skipped)) {
    lines.push(...segmentTags(state, segment, initUri), `#EXTINF:${seconds(state, segment.frames)},`, segment.uri);
    initUri = segment.initUri;
  }
  if (open && state.kind === 'live' && !ended) lines.push(...segmentTags(state, open, initUri));
  // 6.2.6: "to allow Clients playing the stream to request upcoming resources in advance". It is the next part's address,
  // whichever segment that will be in; one hint, and none beside EXT-X-ENDLIST.
  if (state.kind === 'live' && !ended) lines.push(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="${state.nextPartUri}"`);
  // 4.4.3.4: "no more Media Segments will be added"; once, at the end.
  if (ended) lines.push('#EXT-X-ENDLIST');
  return `${lines.join('\n')}\n`;
}

/** EXT-X-SERVER-CONTROL (4.4.3.8) and EXT-X-PART-INF (4.4.3.7). */
function serverControl(state: PlaylistState): string[] {
  const target = targetDuration(state);
  const partTarget = seconds(state, state.partFrames);
  const attributes = [
    'CAN-BLOCK-RELOAD=YES',
    // "The Skip Boundary MUST be at least six times the Target Duration."
    `CAN-SKIP-UNTIL=${(SKIP_BOUNDARY_TARGETS * target).toFixed(1)}`,
    // For players that know no parts: "Its value MUST be at least three times the Target Duration."
    `HOLD-BACK=${(3 * target).toFixed(1)}`,
    // "Its value MUST be at least twice the Part Target Duration. Its value SHOULD be at least three times the Part Target
    // Duration."
    `PART-HOLD-BACK=${(3 * Number(partTarget)).toFixed(5)}`,
  ];
  return [`#EXT-X-SERVER-CONTROL:${attributes.join(',')}`, `#EXT-X-PART-INF:PART-TARGET=${partTarget}`];
}

const SKIP_BOUNDARY_TARGETS = 6;

/**
 * The lines of one segment before its EXTINF. 4.4.4.9: where they apply to a segment "they also necessarily apply to the
 * first Partial Segment, so they MUST appear before the first EXT-X-PART tag of that Parent Segment".
 */
function segmentTags(state: PlaylistState, segment: ListedSegment, initUriBefore: string | undefined): string[] {
  const { fps } = state;
  const { startedAt, firstFrame, discontinuity, initUri, parts } = segment;
  return [
    // 4.4.4.3: it "SHOULD be present if there is a change in" the "encoding sequence", as with a new encoder.
    ...(discontinuity ? ['#EXT-X-DISCONTINUITY'] : []),
    // 4.4.4.5: it applies to every segment that comes after it, until the next one.
    ...(initUri === initUriBefore ? [] : [`#EXT-X-MAP:URI="${initUri}"`]),
    // 4.4.4.6: the wall clock of the segment's first sample; it advances as EXTINF does.
    `#EXT-X-PROGRAM-DATE-TIME:${new Date(startedAt + Math.round((firstFrame * 1000) / fps)).toISOString()}`,
    ...(isNearEnd(state, segment) ? parts.map((part) => partTag(state, part)) : []),
  ];
}

/** EXT-X-PART (4.4.4.9). "Every Partial Segment containing an independent frame SHOULD carry" INDEPENDENT=YES. */
function partTag(state: PlaylistState, { uri, frames, independent }: ListedPart): string {
  return `#EXT-X-PART:DURATION=${seconds(state, frames)},URI="${uri}"${independent ? ',INDEPENDENT=YES' : ''}`;
}

/**
 * Whether the parts of a segment are listed: of the one that is being filled and the two before it. 6.2.2: "EXT-X-PART tags
 * SHOULD be removed from the Playlist after they are greater than three Target Durations from the end of the Playlist", which
 * these never are. A segment's parts go together, because players count them.
 */
function isNearEnd({ kind, segments }: PlaylistState, { number }: ListedSegment): boolean {
  const newest = segments.at(-1)?.number ?? 0;
  return kind === 'live' && number >= newest - 1;
}

/**
 * How many segments a delta update leaves out. 6.2.5.1: those that are "further from the end of the last (Parent) Media
 * Segment in the Playlist than the Skip Boundary".
 */
function skippable(state: PlaylistState): number {
  const last = state.segments.at(-1);
  if (state.kind !== 'live' || !last) return 0;
  const boundary = last.firstFrame + last.frames - SKIP_BOUNDARY_TARGETS * targetDuration(state) * state.fps;
  return state.segments.filter(({ firstFrame, frames }) => firstFrame + frames <= boundary).length;
}

function seconds({ fps }: PlaylistState, frames: number): string {
  return (frames / fps).toFixed(5);
}

/**
 * Target duration in whole seconds, which must never change (RFC 8216bis 6.2.1), so it comes from the setting and not
 * from the segments. 4.4.3.1: EXTINF "when rounded to the nearest integer, MUST be less than or equal to the Target
 * Duration"; rounding up keeps that for every segment.
 */
export function targetDuration({ fps, segmentFrames }: Pick<PlaylistState, 'fps' | 'segmentFrames'>): number {
  return Math.max(1, Math.ceil(segmentFrames / fps));
}
