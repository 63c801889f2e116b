/** A part as a playlist lists it. */
export interface SeenPart {
  readonly uri: string;
  readonly duration: number;
  readonly independent: boolean;
}

/** A segment as a playlist lists it, with all that applies to it. */
export interface SeenSegment {
  readonly number: number;
  /** undefined while it is being filled. */
  readonly uri: string | undefined;
  readonly duration: number | undefined;
  readonly programDateTime: number | undefined;
  /** URI of the init segment that applies; undefined where a delta update has left it out. */
  readonly map: string | undefined;
  readonly discontinuitySequence: number;
  readonly parts: readonly SeenPart[];
  /** Tags of the segment that came after a part of it. */
  readonly lateTags: readonly string[];
}

/** A media playlist, read by hand: what a rule is about must not be hidden by a parser's own care. */
export interface SeenPlaylist {
  readonly lines: readonly string[];
  readonly version: number;
  readonly targetDurations: readonly string[];
  readonly mediaSequence: number;
  readonly discontinuitySequence: number;
  readonly serverControls: readonly Readonly<Record<string, string>>[];
  readonly partTarget: number | undefined;
  readonly skipped: number;
  readonly hints: readonly Readonly<Record<string, string>>[];
  readonly ended: boolean;
  /** Whole segments that are listed, and the one that is being filled. */
  readonly segments: readonly SeenSegment[];
  readonly open: SeenSegment | undefined;
}

/** Splits `A=1,B="x,y"` at its commas. */
export function attributes(text: string): Record<string, string> {
  const found = text.matchAll(/([A-Z0-9-]+)=("[^"]*"|[^,]*)/g);
  return Object.fromEntries([...found].map(([, name, value]) => [name, value!.replace(/^"|"$/g, '')]));
}

export function readPlaylist(text: string): SeenPlaylist {
  const lines = text.split('\n').filter((line) => line !== '');
  const values = (tag: string) =>
    lines.filter((line) => line.startsWith(`#${tag}:`)).map((line) => line.slice(tag.length + 2));
  const [partInf] = values('EXT-X-PART-INF');
  const mediaSequence = Number(values('EXT-X-MEDIA-SEQUENCE')[0] ?? 0);
  const skipped = Number(attributes(values('EXT-X-SKIP')[0] ?? '')['SKIPPED-SEGMENTS'] ?? 0);
  const segments: SeenSegment[] = [];
  const fresh = () => ({
    duration: undefined as number | undefined,
    programDateTime: undefined as number | undefined,
    parts: [] as SeenPart[],
    lateTags: [] as string[],
    touched: false,
  });
  let building = fresh();
  let map: string | undefined;
  const firstDiscontinuitySequence = Number(values('EXT-X-DISCONTINUITY-SEQUENCE')[0] ?? 0);
  let discontinuitySequence = firstDiscontinuitySequence;
  const close = (uri: string | undefined): SeenSegment => {
    const { touched: _, ...rest } = building;
    building = fresh();
    return { ...rest, number: mediaSequence + skipped + segments.length, uri, map, discontinuitySequence };
  };
  for (const line of lines) {
    const [, tag, value = ''] = /^#([A-Z0-9-]+):?(.*)$/.exec(line) ?? [];
    if (['EXT-X-DISCONTINUITY', 'EXT-X-MAP', 'EXT-X-PROGRAM-DATE-TIME'].includes(tag ?? '')) {
      building.touched = true;
      if (building.parts.length > 0) building.lateTags.push(line);
    }
    if (tag === 'EXT-X-DISCONTINUITY') discontinuitySequence++;
    else if (tag === 'EXT-X-MAP') map = attributes(value).URI;
    else if (tag === 'EXT-X-PROGRAM-DATE-TIME') building.programDateTime = Date.parse(value);
    else if (tag === 'EXTINF') building.duration = Number(value.split(',')[0]);
    else if (tag === 'EXT-X-PART') {
      const { URI = '', DURATION, INDEPENDENT } = attributes(value);
      building.parts.push({ uri: URI, duration: Number(DURATION), independent: INDEPENDENT === 'YES' });
    } else if (!line.startsWith('#')) segments.push(close(line));
  }
  return {
    lines,
    version: Number(values('EXT-X-VERSION')[0]),
    targetDurations: values('EXT-X-TARGETDURATION'),
    mediaSequence,
    discontinuitySequence: firstDiscontinuitySequence,
    serverControls: values('EXT-X-SERVER-CONTROL').map(attributes),
    partTarget: partInf === undefined ? undefined : Number(attributes(partInf)['PART-TARGET']),
    skipped,
    hints: values('EXT-X-PRELOAD-HINT').map(attributes),
    ended: lines.includes('#EXT-X-ENDLIST'),
    segments,
    open: building.touched || building.parts.length > 0 ? close(undefined) : undefined,
  };
}
