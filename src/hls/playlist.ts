/** A segment as the playlist lists it. */
export interface ListedSegment {
  /** Its place in the talk, from 1. */
  readonly number: number;
  /** File name, relative to the playlist. */
  readonly uri: string;
  readonly firstFrame: number;
  readonly frames: number;
}

/** All that a media playlist is made from. */
export interface PlaylistState {
  readonly fps: number;
  /** Frames in every segment but the last. */
  readonly segmentFrames: number;
  /** When the first frame of the talk was made, milliseconds since 1970. */
  readonly startedAt: number;
  readonly initUri: string;
  /** All segments from the first to the newest. */
  readonly segments: readonly ListedSegment[];
  /** True once no segment will follow. */
  readonly ended: boolean;
}

/** The media playlist of a talk as it is now (RFC 8216bis). Pure. */
export function mediaPlaylist(state: PlaylistState): string {
  const { fps, ended, segments } = state;
  const lines = [
    // 4.4.1.1: "It MUST be the first line of every Media Playlist".
    '#EXTM3U',
    // 8: EXT-X-MAP in a playlist with segments of pictures and sound needs 6 or higher.
    '#EXT-X-VERSION:7',
    `#EXT-X-TARGETDURATION:${targetDuration(state)}`,
    // 4.4.3.2: "MUST appear before the first Media Segment". It starts at 1, because some players take 0 for absent, and
    // stays there, because no segment leaves.
    '#EXT-X-MEDIA-SEQUENCE:1',
    // 4.4.3.5: "Media Segments can only be added to the end". It stays so after the end: 6.2.1 names what may change in a
    // playlist, and its type is not among it. With EXT-X-ENDLIST it is the replay of the whole talk.
    '#EXT-X-PLAYLIST-TYPE:EVENT',
    // 4.4.2.1: every segment begins with an IDR picture.
    '#EXT-X-INDEPENDENT-SEGMENTS',
    // 4.4.2.2: a talk is heard from its first word, not from where its rendering has come to.
    '#EXT-X-START:TIME-OFFSET=0',
    // 4.4.4.5: "applies to every Media Segment that appears after it".
    `#EXT-X-MAP:URI="${state.initUri}"`,
  ];
  for (const { uri, firstFrame, frames } of segments) {
    lines.push(
      // 4.4.4.6: the wall clock of the segment's first sample; it advances as EXTINF does.
      `#EXT-X-PROGRAM-DATE-TIME:${new Date(state.startedAt + Math.round((firstFrame * 1000) / fps)).toISOString()}`,
      `#EXTINF:${(frames / fps).toFixed(5)},`,
      uri,
    );
  }
  // 4.4.3.4: "no more Media Segments will be added"; once, at the end.
  if (ended) lines.push('#EXT-X-ENDLIST');
  return `${lines.join('\n')}\n`;
}

/**
 * Target duration in whole seconds, which must never change (RFC 8216bis 6.2.1), so it comes from the setting and not
 * from the segments. 4.4.3.1: EXTINF "when rounded to the nearest integer, MUST be less than or equal to the Target
 * Duration"; rounding up keeps that for every segment.
 */
export function targetDuration({ fps, segmentFrames }: Pick<PlaylistState, 'fps' | 'segmentFrames'>): number {
  return Math.max(1, Math.ceil(segmentFrames / fps));
}
