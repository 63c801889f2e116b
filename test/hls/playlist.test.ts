import { parse, types } from 'hls-parser';
import { Parser } from 'm3u8-parser';
import { mediaPlaylist, type PlaylistState, targetDuration } from '../../src/hls/playlist.js';

const STARTED = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

function state(lengths: readonly number[], more: Partial<PlaylistState> = {}): PlaylistState {
  let firstFrame = 0;
  const segments = lengths.map((frames, i) => {
    firstFrame += frames;
    const place = { number: i + 1, uri: `segment-0000${i + 1}.m4s`, firstFrame: firstFrame - frames, frames };
    return { ...place, initUri: 'init.mp4', discontinuity: false, parts: [] };
  });
  return {
    ...{ kind: 'event', fps: 25, segmentFrames: 25, partFrames: 5, startedAt: STARTED, segments, ended: false },
    ...{ nextPartUri: 'part-00099.m4s', discontinuitySequence: 0, skip: false, ...more },
  };
}

describe('mediaPlaylist', () => {
  it('of a talk that goes on only grows', () => {
    expect(mediaPlaylist(state([25, 25]))).toBe(`#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-START:TIME-OFFSET=0
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.678Z
#EXTINF:1.00000,
segment-00001.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:06.678Z
#EXTINF:1.00000,
segment-00002.m4s
`);
  });

  it('of a finished talk is whole and says so', () => {
    expect(mediaPlaylist(state([25, 25, 7], { ended: true }))).toBe(`#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-START:TIME-OFFSET=0
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.678Z
#EXTINF:1.00000,
segment-00001.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:06.678Z
#EXTINF:1.00000,
segment-00002.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:07.678Z
#EXTINF:0.28000,
segment-00003.m4s
#EXT-X-ENDLIST
`);
  });

  it('of a talk without a word ends at once', () => {
    const text = mediaPlaylist(state([], { ended: true }));
    expect(text).toContain('#EXT-X-MEDIA-SEQUENCE:1\n');
    expect(text.endsWith('#EXT-X-START:TIME-OFFSET=0\n#EXT-X-ENDLIST\n')).toBe(true);
  });

  it.each([
    ['growing', state([25, 25, 25])],
    ['ended', state([25, 25, 3], { ended: true })],
  ])('is understood by two parsers: %s', (_name, given) => {
    const text = mediaPlaylist(given);
    const byHlsParser = parse(text);
    if (!(byHlsParser instanceof types.MediaPlaylist)) throw new Error('not a media playlist');
    const byM3u8Parser = new Parser();
    byM3u8Parser.push(text);
    byM3u8Parser.end();
    const listed = given.segments;
    expect(byHlsParser.segments.map(({ uri, duration }) => ({ uri, duration }))).toEqual(
      listed.map(({ uri, frames }) => ({ uri, duration: frames / 25 })),
    );
    expect(byM3u8Parser.manifest.segments.map(({ uri, duration }) => ({ uri, duration }))).toEqual(
      listed.map(({ uri, frames }) => ({ uri, duration: frames / 25 })),
    );
    expect(byHlsParser.mediaSequenceBase).toBe(listed[0].number);
    expect(byM3u8Parser.manifest.mediaSequence).toBe(listed[0].number);
    expect(byHlsParser.endlist).toBe(given.ended);
    expect(byM3u8Parser.manifest.endList ?? false).toBe(given.ended);
    expect(byHlsParser.segments[0].map?.uri).toBe('init.mp4');
    expect(byM3u8Parser.manifest.segments[0].programDateTime).toBe(STARTED + listed[0].firstFrame * 40);
  });
});

describe('targetDuration', () => {
  it.each([
    [25, 1],
    [12, 1],
    [26, 2],
    [50, 2],
    [75, 3],
  ])('of segments of %i frames at 25 a second is %i s', (segmentFrames, seconds) => {
    expect(targetDuration({ fps: 25, segmentFrames })).toBe(seconds);
  });
});
