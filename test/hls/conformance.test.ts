import { readFileSync } from 'node:fs';
import { ConformanceChecker } from './support/conformance.js';
import { RULES } from './support/conformance-rules.js';
import { EncodedStream } from './support/encoded-stream.js';

/** How a stream is spoilt: its playlists (`step` counts them), and its media. */
interface Fault {
  readonly text?: (text: string, step: number) => string;
  readonly delta?: (text: string) => string;
  readonly media?: (bytes: Uint8Array, uri: string, time: number) => Uint8Array | undefined;
}

const MIDDLE = 40;
/** Only in one playlist, in the middle. */
const once = (edit: (text: string) => string) => (text: string, step: number) => (step === MIDDLE ? edit(text) : text);
const live = (edit: (text: string) => string) => (text: string) => (text.includes('ENDLIST') ? text : edit(text));
const tags = (text: string) => text.replaceAll('#EXT-X-', '\n#EXT-X-').split('\n');
const withoutLine = (start: string) => (text: string) =>
  tags(text)
    .filter((line) => line !== '' && !line.startsWith(start))
    .concat('')
    .join('\n');

/** One or two ways to break each rule. */
const FAULTS: readonly (readonly [rule: number, how: string, fault: Fault])[] = [
  [
    0,
    'a line that no parser knows as a number',
    { text: once((text) => text.replace('#EXTINF:1.00000', '#EXTINF:x')) },
  ],
  [1, 'a byte order mark', { text: once((text) => `\uFEFF${text}`) }],
  [1, 'a second header', { text: once((text) => `${text}#EXTM3U\n`) }],
  [2, 'an old version with EXT-X-SKIP', { delta: (text) => text.replace('VERSION:9', 'VERSION:8') }],
  [3, 'a fraction', { text: (text) => text.replace('TARGETDURATION:1', 'TARGETDURATION:1.5') }],
  [3, 'a segment that is too long', { text: once((text) => text.replace('#EXTINF:1.0', '#EXTINF:1.6')) }],
  [4, 'a change', { text: once((text) => text.replace('TARGETDURATION:1', 'TARGETDURATION:2')) }],
  [5, 'one back', { text: once((text) => text.replace(/SEQUENCE:(\d+)/, (_, n) => `SEQUENCE:${n - 1}`)) }],
  [5, 'one for none', { text: once((text) => text.replace(/SEQUENCE:(\d+)/, (_, n) => `SEQUENCE:${Number(n) + 1}`)) }],
  [5, 'a segment with another name', { text: once((text) => text.replace(/segment-0000(\d)/, 'segment-1000$1')) }],
  [6, 'from 0 on', { text: (text) => text.replace(/SEQUENCE:(\d+)/, (_, n) => `SEQUENCE:${n - 1}`) }],
  [7, 'parts only', { text: once((text) => text.replace(/#EXTINF.*\n.*m4s\n/g, '')) }],
  [8, 'no EXT-X-PART-INF', { text: once(withoutLine('#EXT-X-PART-INF')) }],
  [9, 'no EXT-X-SERVER-CONTROL', { text: once(withoutLine('#EXT-X-SERVER-CONTROL')) }],
  [9, 'no blocking reload', { text: once((text) => text.replace('CAN-BLOCK-RELOAD=YES,', '')) }],
  [10, 'two and a half', { text: once((text) => text.replace('PART-HOLD-BACK=0.6', 'PART-HOLD-BACK=0.5')) }],
  [11, 'two', { text: once((text) => text.replace(',HOLD-BACK=3.0', ',HOLD-BACK=2.0')) }],
  [12, 'five', { text: once((text) => text.replace('UNTIL=6.0', 'UNTIL=5.0')) }],
  [13, 'a longer one', { text: once((text) => text.replace('DURATION=0.20000', 'DURATION=0.20001')) }],
  [14, 'a shorter one', { text: once((text) => text.replace('DURATION=0.20000', 'DURATION=0.16900')) }],
  [15, 'one too many', { text: (text) => text.replace(/(PART:.*m4s")\n/g, '$1,INDEPENDENT=YES\n') }],
  [16, 'none', { text: once((text) => text.replaceAll(',INDEPENDENT=YES', '')) }],
  [17, 'a segment that is too short', { text: (text) => text.replaceAll('#EXTINF:1.0', '#EXTINF:0.9') }],
  [18, 'another part', { media: (bytes, uri) => (uri === 'part-00032.m4s' ? bytes.slice(0, -1) : bytes) }],
  [19, 'no EXT-X-MAP', { text: once(withoutLine('#EXT-X-MAP')) }],
  [19, 'an init segment with a sample', { media: (bytes, uri) => (uri.startsWith('init') ? withMdat(bytes) : bytes) }],
  [20, 'none', { text: once((text) => text.replace(/#EXT-X-PROGRAM.*\n(#EXTINF)/, '$1')) }],
  [
    20,
    'a jump',
    {
      text: once((text) =>
        text.replace(/(.)Z\n(#EXTINF.*\nsegment-00005)/, (_, digit, rest) => `${(Number(digit) + 5) % 10}Z\n${rest}`),
      ),
    },
  ],
  [21, 'after a part', { text: once((text) => text.replace(/(#EXT-X-PROGRAM.*\n)(#EXT-X-PART:.*\n)/, '$2$1')) }],
  [22, 'none', { text: live(withoutLine('#EXT-X-PRELOAD-HINT')) }],
  [22, 'a promise that is not kept', { text: live((text) => text.replace(/(TYPE=PART,URI="part-)0/, '$19')) }],
  [
    23,
    'one that stays',
    { text: once((text) => text.replace(/(#EXTINF.*\n)/, '#EXT-X-PART:DURATION=0.2,URI="part-00001.m4s"\n$1')) },
  ],
  [
    24,
    'one that goes at once',
    { media: (bytes, uri, time) => (uri.startsWith('part') && time > 3 + partTime(uri) ? undefined : bytes) },
  ],
  [
    26,
    'bytes that change',
    { media: (bytes, uri, time) => (uri.startsWith('part') && time > 2.5 + partTime(uri) ? bytes.slice(1) : bytes) },
  ],
  [26, 'a segment that is not there', { media: (bytes, uri) => (uri === 'segment-00009.m4s' ? undefined : bytes) }],
  [27, 'not counted on', { text: (text) => text.replace('DISCONTINUITY-SEQUENCE:1', 'DISCONTINUITY-SEQUENCE:0') }],
  [37, 'nothing is skipped', { delta: withoutLine('#EXT-X-SKIP') }],
  [37, 'one segment too many', { delta: (text) => text.replace('SEGMENTS=1', 'SEGMENTS=2') }],
  [37, 'an old edge', { delta: (text) => text.replace(/#EXT-X-PRELOAD-HINT.*\n/, '') }],
  [47, 'a gap', { media: (bytes, uri) => (uri === 'segment-00009.m4s' ? later(bytes, 1) : bytes) }],
  [47, 'sound apart from the picture', { media: (bytes, uri) => (uri.startsWith('seg') ? later(bytes, 1) : bytes) }],
  [
    48,
    'a picture that is none by itself',
    { media: (bytes, uri) => (uri === 'segment-00009.m4s' ? withoutIdr(bytes) : bytes) },
  ],
  [49, 'twice', { text: (text) => text.replace('#EXT-X-ENDLIST\n', '#EXT-X-ENDLIST\n#EXT-X-ENDLIST\n') }],
  [
    49,
    'with a hint',
    { text: (text) => text.replace('#EXT-X-ENDLIST', '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="x"\n#EXT-X-ENDLIST') },
  ],
];

/** Seconds on the timeline when a part ends. */
const partTime = (uri: string) => Number(/\d+/.exec(uri)![0]) / 5;

function withMdat(init: Uint8Array): Uint8Array {
  return Buffer.concat([init, Buffer.from([0, 0, 0, 8]), Buffer.from('mdat')]);
}

/** Half a second later in one of the tracks: the sixth byte of eight of the second `tfdt`. */
function later(bytes: Uint8Array, track: number): Uint8Array {
  const copy = Buffer.from(bytes);
  let at = -1;
  for (let i = 0; i <= track; i++) at = copy.indexOf('tfdt', at + 1);
  copy[at + 13]! += 1;
  return copy;
}

function withoutIdr(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.from(bytes);
  copy[copy.indexOf('mdat') + 8] = 0x41;
  return copy;
}

/** Watches 16 s of a live stream, an encoder's restart after 1.4 s included, through the fault. */
async function watch({ text = (whole) => whole, delta = (whole) => whole, media = (bytes) => bytes }: Fault) {
  const stream = await EncodedStream.open();
  let time = 0;
  const checker = new ConformanceChecker(async (uri) => {
    const found = await stream.published.media(uri);
    const bytes = found && ('path' in found ? readFileSync(found.path) : found.bytes);
    return bytes && media(bytes, uri, time);
  });
  try {
    for (let part = 6; part <= 80; part++) {
      time = part / 5;
      stream.to(part * 5);
      if (part === 7) stream.restart();
      const whole = await stream.published.playlist({});
      if (part > 60) checker.seeDelta(delta(await stream.published.playlist({ skip: true })), whole);
      await checker.see(text(whole, part));
    }
    stream.end();
    await checker.see(text(await stream.published.playlist({}), 81));
    await checker.finish();
  } finally {
    await stream.close();
  }
  return checker;
}

beforeEach(() => {
  // hls-parser says what is wrong on the console, too.
  jest.spyOn(console, 'error').mockImplementation(() => {});
});
afterEach(() => jest.restoreAllMocks());

describe('the conformance checker', () => {
  it('finds no fault in a good stream, and has looked at every rule', async () => {
    const checker = await watch({});
    expect(checker.report).toEqual([]);
    expect([...checker.checked.keys()].sort((a, b) => a - b)).toEqual(Object.keys(RULES).map(Number));
  });

  it.each(FAULTS)('rule %i: sees %s', async (rule, _how, fault) => {
    const checker = await watch(fault);
    expect([...checker.breaches.keys()]).toContain(rule);
  });

  it('has been shown a breach of every rule', () => {
    expect([...new Set(FAULTS.map(([rule]) => rule))]).toEqual(Object.keys(RULES).map(Number));
  });
});
