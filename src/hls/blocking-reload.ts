import { AppError } from '../errors.js';

/** What a player asks of a playlist by its query (RFC 8216bis 6.2.5). NaN where that was no whole number. */
export interface DeliveryDirectives {
  /** `_HLS_msn`: the answer is to have this segment, or a part of it. */
  readonly msn?: number | undefined;
  /** `_HLS_part`: index of that part. */
  readonly part?: number | undefined;
  /** `_HLS_skip`: older segments may be left out. */
  readonly skip?: boolean | undefined;
}

/** How far a live playlist has come. */
export interface PlaylistEdge {
  /** Number of the newest whole segment, 0 before there is one, and how many parts it has. */
  readonly lastSegment: number;
  readonly lastSegmentParts: number;
  /** Parts of the segment after it, which is being filled. */
  readonly openParts: number;
  /** Parts that a full segment has. */
  readonly partsPerSegment: number;
  /** Seconds that a part lasts. */
  readonly partTarget: number;
}

/**
 * Refuses what no playlist will ever answer (RFC 8216bis 6.2.5.2).
 * @throws AppError `invalid_parameter`
 */
export function checkDirectives({ msn, part }: DeliveryDirectives, edge: PlaylistEdge): void {
  if (msn !== undefined && !(msn >= 0)) throw invalid('_HLS_msn', 'must be a whole number from 0');
  if (part !== undefined && !(part >= 0)) throw invalid('_HLS_part', 'must be a whole number from 0');
  if (msn === undefined) {
    // "If the Playlist URI contains an _HLS_part directive but no _HLS_msn directive, the Server MUST return Bad Request".
    if (part !== undefined) throw invalid('_HLS_part', 'comes with _HLS_msn only');
    return;
  }
  const { lastSegment, openParts, partsPerSegment } = edge;
  // "If the _HLS_msn is greater than the Media Sequence Number of the last Media Segment in the current Playlist plus two,
  // or if the _HLS_part exceeds the last Partial Segment in the current Playlist by the Advance Part Limit, then the server
  // SHOULD immediately return Bad Request".
  if (msn > lastSegment + 2) throw invalid('_HLS_msn', `is too far ahead: the newest segment is ${lastSegment}`);
  if (part === undefined || msn <= lastSegment) return;
  const partsAhead = (msn - lastSegment - 1) * partsPerSegment + part - (openParts - 1);
  if (partsAhead > advancePartLimit(edge)) throw invalid('_HLS_part', 'is too far ahead of the newest part');
}

/** Three divided by the part target duration where that is less than a second, else three. */
function advancePartLimit({ partTarget }: PlaylistEdge): number {
  return partTarget < 1 ? Math.ceil(3 / partTarget) : 3;
}

/**
 * Whether a playlist that has come so far is the answer (RFC 8216bis 6.2.5.2). One without a whole segment never is:
 * players would give up.
 */
export function isAnswerable({ msn, part }: DeliveryDirectives, edge: PlaylistEdge): boolean {
  const { lastSegment, lastSegmentParts, openParts } = edge;
  if (lastSegment === 0) return false;
  // At once without a directive, and for what is past, "even if it is no longer in the Playlist".
  if (msn === undefined || msn < lastSegment) return true;
  // `_HLS_msn` alone: "until the Playlist contains a Media Segment with a Media Sequence Number of M or later".
  if (part === undefined) return msn === lastSegment;
  if (msn > lastSegment) return msn === lastSegment + 1 && part < openParts;
  // "If the Client requests a Part Index greater than that of the final Partial Segment of the Parent Segment, the Server
  // MUST treat the request as one for Part Index 0 of the following Parent Segment."
  return part < lastSegmentParts || openParts > 0;
}

function invalid(name: string, why: string): AppError {
  return new AppError('invalid_parameter', `${name}: ${why}.`);
}
