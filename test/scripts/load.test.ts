import { spawnSync } from 'node:child_process';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';

// The scripts are JavaScript; these parts of them need no service.
const { chart } = require('../../scripts/load/chart.mjs');
const { play } = require('../../scripts/load/buffer-model.mjs');
const { HttpClient, Refused } = require('../../scripts/load/http-client.mjs');
const { countMarkers, markerHertz, withMarker } = require('../../scripts/load/marker.mjs');
const { readOptions } = require('../../scripts/load/options.mjs');
const { nearestPortrait } = require('../../scripts/load/own-media.mjs');
const { Player } = require('../../scripts/load/player.mjs');
const { speechPlan } = require('../../scripts/load/speech-plan.mjs');
const { brokenPromises, summarise } = require('../../scripts/load/summary.mjs');

describe('options of the load tester', () => {
  it('have defaults, and ranges of sessions', () => {
    expect(readOptions([])).toMatchObject({ counts: [6], seconds: 60, live: false, url: undefined, assert: false });
    const options = readOptions(['--sessions', '6-8', '--seconds', '120', '--live', '--url', 'http://a:1/']);
    expect(options).toMatchObject({ counts: [6, 7, 8], seconds: 120, live: true, url: 'http://a:1' });
  });

  it.each([
    [['--sessions', '0'], '--sessions 0: a whole number from 1 to 40'],
    [['--sessions', '8-6'], '--sessions 8-6: a whole number from 1 to 40'],
    [['--sessions', '41'], '--sessions 41: a whole number from 1 to 40'],
    [['--seconds', '5'], '--seconds 5: a whole number from 10 to 86400'],
    [['--seconds', '60.5'], '--seconds 60.5: a whole number from 10 to 86400'],
    [['--url', 'localhost:9999'], '--url localhost:9999: an address such as http://localhost:9999'],
    [['--chart', 'curve.svg'], '--chart draws live sessions: give --live too.'],
    [['--fast'], '--fast'],
  ])('are refused with what is allowed: %j', (args, words) => {
    expect(() => readOptions(args)).toThrow(words);
  });

  it('the key is the environment’s', () => {
    expect(readOptions([], { FACECAST_API_KEY: 'my-key' }).apiKey).toBe('my-key');
    expect(readOptions([], { FACECAST_API_KEY: '' }).apiKey).toBeUndefined();
  });

  it('are told at the command line', () => {
    const script = resolve(__dirname, '../../scripts/load.mjs');
    const help = spawnSync(process.execPath, [script, '--help'], { encoding: 'utf8' });
    expect(help).toMatchObject({ status: 0, stdout: expect.stringContaining('--sessions') });
    const wrong = spawnSync(process.execPath, [script, '--sessions', 'many'], { encoding: 'utf8' });
    expect(wrong).toMatchObject({ status: 2, stderr: expect.stringContaining('--sessions many') });
  });
});

describe('the curve', () => {
  const run = (admitted: number, p99: number, lateFrames: number) => ({
    ...{ admitted, seconds: 10, lateFrames },
    latenessMilliseconds: { p50: -20, p95: p99 / 2, p99 },
  });
  const pointsOf = (svg: string) => [...svg.matchAll(/points="([^"]+)"/g)].map(([, points]) => points.split(' '));

  it('has a point for each run, higher where it is later, and the promise', () => {
    const svg = chart([run(1, 10, 0), run(2, 40, 0), run(3, 900, 150)]);
    expect(svg).toContain('promised');
    const [median, , latest, share] = pointsOf(svg).map((points) => points.map((point) => Number(point.split(',')[1])));
    expect(new Set(median).size).toBe(1);
    expect(latest[2]).toBeLessThan(latest[1]);
    expect(latest[1]).toBeLessThan(latest[0]);
    // 150 of 750 pictures are a fifth, the highest there is.
    expect(svg).toContain('>20<');
    expect(share[0]).toBe(share[1]);
    expect(share[2]).toBeLessThan(share[0]);
  });

  it('draws a run that took no more sessions than one before, or nothing, no second time', () => {
    const refused = { ...run(2, 40, 3), sessions: 3 };
    const [points] = pointsOf(chart([run(1, 10, 0), run(2, 40, 0), refused, { ...run(0, 0, 0), admitted: 0 }]));
    expect(points).toHaveLength(2);
    const unseen = { ...run(4, 0, 0), latenessMilliseconds: undefined };
    expect(pointsOf(chart([run(3, 20, 0), unseen]))[0]).toHaveLength(1);
  });

  it('bears a single run, or none, and has round numbers', () => {
    for (const runs of [[run(6, 100, 2)], []]) {
      const svg = chart(runs);
      expect(svg).not.toMatch(/NaN|Infinity|undefined/);
      expect(svg).not.toMatch(/\d\.\d{4}/);
    }
  });
});

describe('tones that tell sessions apart', () => {
  const RATE = 48_000;
  /** Speech is no tone: noise with a slow swell. */
  const voice = (seconds: number) =>
    Float32Array.from({ length: seconds * RATE }, (_, i) => 0.3 * Math.sin(i / 9000) * Math.sin(i * i * 0.37));

  it('are counted once each, and only where they are', () => {
    const pieces = [
      withMarker(voice(2), RATE, 3),
      withMarker(voice(2), RATE, 3),
      withMarker(voice(2), RATE, 0),
      voice(2),
    ];
    const sound = Float32Array.from(pieces.flatMap((piece: Float32Array) => [...piece]));
    expect(countMarkers(sound, RATE, 6)).toEqual([1, 0, 0, 2, 0, 0]);
  });

  it('are found through noise, and not in silence or in a tone of nobody', () => {
    const noisy = withMarker(new Float32Array(RATE), RATE, 39).map(
      (x: number, i: number) => x + 0.05 * Math.sin(i * i),
    );
    expect(countMarkers(noisy, RATE, 40)[39]).toBe(1);
    expect(countMarkers(new Float32Array(RATE), RATE, 40).some(Boolean)).toBe(false);
    const between = (markerHertz(4) + markerHertz(5)) / 2;
    const tone = Float32Array.from({ length: RATE }, (_, i) => 0.3 * Math.sin((2 * Math.PI * between * i) / RATE));
    expect(countMarkers(tone, RATE, 40).some(Boolean)).toBe(false);
  });
});

describe('what a session says', () => {
  const voice = new Float32Array(24_000).fill(0.1);
  const first = (live: boolean, session: number, count: number) => {
    const plan = speechPlan({ live, voice, session });
    return Array.from({ length: count }, () => plan.next().value);
  };

  it('is a chunk each second when it is fed, every fifth with the tone', () => {
    const chunks = first(false, 2, 7);
    expect(chunks.map(({ at }) => at)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(chunks.map(({ marked }) => marked)).toEqual([true, false, false, false, false, true, false]);
    expect(chunks.every(({ bytes }) => bytes.length === 48_000)).toBe(true);
  });

  it('is utterances with pauses when it is live, at times of its own', () => {
    const utterances = first(true, 0, 3);
    expect(utterances.map(({ at, seconds }) => [at, seconds])).toEqual([
      [0, 5],
      [8, 5],
      [16, 5],
    ]);
    expect(first(true, 1, 1)[0].at).not.toBe(0);
  });
});

describe('the model of a player', () => {
  /** Pieces of 0.2 s that are there so many milliseconds after their end. */
  const pieces = (late: (i: number) => number) =>
    Array.from({ length: 50 }, (_, i) => ({ start: i * 0.2, seconds: 0.2, at: (i + 1) * 200 + late(i) }));

  it('stands still for nothing that is there within what it holds back', () => {
    expect(
      play(
        pieces(() => 40),
        0.6,
      ),
    ).toEqual({ stalls: 0, stalledSeconds: 0, playedSeconds: expect.closeTo(10) });
    expect(
      play(
        pieces((i) => (i > 20 ? 400 : 0)),
        0.6,
      ).stalls,
    ).toBe(0);
  });

  it('stands still once for what comes later, and goes on behind', () => {
    const { stalls, stalledSeconds } = play(
      pieces((i) => (i > 20 ? 1000 : 0)),
      0.6,
    );
    expect(stalls).toBe(1);
    expect(stalledSeconds).toBeCloseTo(0.6, 5);
  });

  it('plays nothing where less came than it holds back', () => {
    expect(play(pieces(() => 0).slice(0, 2), 0.6).playedSeconds).toBe(0);
    expect(play([], 0.6).playedSeconds).toBe(0);
  });
});

describe('a picture', () => {
  it('is told by the portrait it is nearest to', () => {
    const thumbs = [10, 100, 200].map((level) => Buffer.alloc(768, level));
    expect(nearestPortrait(Buffer.alloc(768, 104), thumbs)).toEqual({ nearest: 1, distance: 4 });
  });
});

describe('over HTTP', () => {
  let server: Server | undefined;
  const serve = async (listener: RequestListener) => {
    server = createServer(listener);
    await new Promise<void>((done) => server!.listen(0, '127.0.0.1', done));
    return new HttpClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  };
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  it('a refusal has its code', async () => {
    const client = await serve((_, response) => {
      response.writeHead(429).end(JSON.stringify({ code: 'too_many_sessions', detail: 'Full.' }));
    });
    await expect(client.post('init', { live: true })).rejects.toThrow(Refused);
    await expect(client.get('/x')).rejects.toMatchObject({ status: 429, code: 'too_many_sessions' });
  });

  it('a player fetches each part once, in order, and knows when it was listed', async () => {
    const asked: string[] = [];
    const head = [
      '#EXTM3U',
      '#EXT-X-TARGETDURATION:1',
      '#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.6',
      '#EXT-X-MEDIA-SEQUENCE:1',
      '#EXT-X-MAP:URI="init.mp4"',
      '#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z',
    ];
    const part = (n: number) => `#EXT-X-PART:DURATION=0.5,URI="part-${n}.m4s"`;
    const second = '#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:01.000Z';
    const first = [...head, part(1), part(2), '#EXTINF:1.0,', 'segment-1.m4s'];
    const playlists = [
      first,
      [...first, second, part(3)],
      [...first, second, part(3), part(4), '#EXTINF:1.0,', 'segment-2.m4s', '#EXT-X-ENDLIST'],
    ];
    const client = await serve((request, response) => {
      asked.push(request.url!);
      if (!request.url!.includes('playlist')) response.end(request.url);
      else response.end(playlists[asked.filter((url) => url.includes('playlist')).length - 1]!.join('\n'));
    });
    const player = new Player(client, '/hls/a/playlist.m3u8');
    await player.follow(new AbortController().signal);
    expect(asked.filter((url) => url.includes('playlist'))).toEqual([
      '/hls/a/playlist.m3u8',
      '/hls/a/playlist.m3u8?_HLS_msn=2&_HLS_part=0',
      '/hls/a/playlist.m3u8?_HLS_msn=2&_HLS_part=1',
    ]);
    expect(asked.filter((url) => !url.includes('playlist'))).toEqual(
      ['init.mp4', 'part-1.m4s', 'part-2.m4s', 'part-3.m4s', 'part-4.m4s'].map((name) => `/hls/a/${name}`),
    );
    const begin = Date.parse('2026-01-01T00:00:00.000Z') / 1000;
    expect(player.pieces.map(({ start }: { start: number }) => start - begin)).toEqual(
      [0, 0.5, 1, 1.5].map((at) => expect.closeTo(at, 1)),
    );
    expect(player.pieces.map(({ independent }: { independent: boolean }) => independent)).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(player.holdBack).toBe(0.6);
    expect(player.missed).toBe(0);
  });

  it('keeps a proxy’s path and a signature, and shows its key where the API asks for one', async () => {
    const asked: string[] = [];
    const playlist = [
      ...['#EXTM3U', '#EXT-X-TARGETDURATION:1', '#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.6'],
      ...['#EXT-X-MEDIA-SEQUENCE:1', '#EXT-X-MAP:URI="init.mp4?sig=1"'],
      ...['#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z', '#EXTINF:1.0,', 'segment-1.m4s?sig=1'],
    ];
    const { url } = await serve((request, response) => {
      asked.push(`${request.url} ${request.headers.authorization ?? '-'}`);
      if (request.url!.includes('_HLS_msn')) response.end([...playlist, '#EXT-X-ENDLIST'].join('\n'));
      else if (request.url!.includes('playlist')) response.end(playlist.join('\n'));
      else response.end('{"type":"closed"}');
    });
    const client = new HttpClient(`${url}/behind/a-proxy`, 'my-key');
    await new Player(client, '/hls/a/playlist.m3u8?sig=1').follow(new AbortController().signal);
    await client.post('feed', { session_id: 'a' });
    await client.send('/metrics');
    await client.follow('a', () => {});
    expect(asked.sort()).toEqual(
      [
        '/hls/a/init.mp4?sig=1 -',
        '/hls/a/playlist.m3u8?sig=1 -',
        '/hls/a/playlist.m3u8?sig=1&_HLS_msn=2&_HLS_part=0 -',
        '/hls/a/segment-1.m4s?sig=1 -',
        '/api/audio-driven/chunked/events/a Bearer my-key',
        '/api/audio-driven/chunked/feed Bearer my-key',
        '/metrics Bearer my-key',
      ]
        .map((line) => `/behind/a-proxy${line}`)
        .sort(),
    );
  });

  it('says that nobody listens', async () => {
    const { url } = await serve(() => {});
    server!.close();
    await expect(new HttpClient(url).send('/health')).rejects.toThrow(`${url}: nobody listens there.`);
  });

  it('a player that a playlist is refused to says why', async () => {
    const client = await serve((_, response) => {
      response.writeHead(404).end('gone');
    });
    const player = new Player(client, '/hls/a/playlist.m3u8');
    await expect(player.follow(new AbortController().signal)).rejects.toThrow('404: gone');
  });
});

describe('a summary', () => {
  const FROM = 1_800_000_000_000;
  const SECONDS = 60;
  /** A session whose parts are listed so late, and whose media is what it is. */
  const talker = (index: number, lateMilliseconds: number, media: object = {}) => ({
    index,
    refusals: {},
    failures: [],
    late: [{ at: FROM + 100, frames: 3 }],
    feeds: [{ at: FROM + 5, milliseconds: 20, seconds: 5, marked: true }],
    media: { nearest: index, distance: 3, markers: [0, 1].map((i) => (i === index ? 7 : 0)), seconds: 60, ...media },
    player: {
      holdBack: 0.6,
      missed: 0,
      pieces: Array.from({ length: 5 * SECONDS }, (_, i) => {
        const at = FROM + (i + 1) * 200 + lateMilliseconds;
        return { start: FROM / 1000 + i * 0.2, seconds: 0.2, listedAt: at, at: at + 5 };
      }),
    },
  });
  const run = (talkers: object[], others: object = {}) => ({
    ...{ sessions: talkers.length, live: true, from: FROM, to: FROM + SECONDS * 1000, capacity: 6 },
    ...{ talkers, admitted: talkers, tester: 6 },
    usage: { service: 24, encoders: 12, serviceMegabytes: 60, encoderMegabytes: 65 },
    made: { video: 120, making: 40 },
    ...others,
  });

  it('has the numbers of all sessions, for each of them', () => {
    const summary = summarise(run([talker(0, 100), talker(1, 100)]));
    expect(summary).toMatchObject({ admitted: 2, stalls: 0, lateFrames: 6, realTimeFactor: 3, testerCpu: 0.1 });
    expect(summary.cpu.service).toBeCloseTo(0.2);
    expect(summary.cpu.encoder).toBeCloseTo(0.1);
    expect(summary.megabytes).toEqual({ service: 30, encoder: 65 });
    expect(summary.latenessMilliseconds.p99).toBeCloseTo(100, 0);
    expect(summary.feedMilliseconds).toMatchObject({ p50: 20, count: 2 });
    expect(brokenPromises(summary)).toEqual([]);
  });

  it.each([
    ['late parts', [talker(0, 700)], 'p99 of part lateness is 700 ms'],
    ['the picture of another', [talker(0, 0, { nearest: 1 })], 'looks like the portrait of session 1'],
    ['the sound of another', [talker(0, 0, { markers: [7, 2] })], 'the tone of session 1 (2 times)'],
    ['no sound of its own', [talker(0, 0, { markers: [1, 0] })], 'its own tone was heard 1 times, at least 5'],
    ['media that cannot be decoded', [talker(0, 0, { error: new Error('broken') })], 'cannot be decoded: broken'],
  ])('tells of %s', (_, talkers, words) => {
    expect(brokenPromises(summarise(run(talkers))).join('; ')).toContain(words);
  });

  it('tells of a stream that stopped, of refusals in mid-talk, and of nobody taken', () => {
    const stopped = talker(0, 0);
    stopped.player.pieces.length = 50;
    expect(brokenPromises(summarise(run([stopped]))).join()).toContain('only 10.0 of 60 s came');
    const refused = { ...talker(0, 0), refusals: { session_lagging: 2 } };
    expect(brokenPromises(summarise(run([refused]))).join()).toContain('session_lagging was answered 2 times');
    expect(brokenPromises(summarise(run([talker(0, 0)], { admitted: [] })))).toContain('no session was taken');
  });

  it('finds no fault with sessions that a full service refused', () => {
    const refused = { ...talker(1, 0), refusals: { too_many_sessions: 1 } };
    const taken = talker(0, 0);
    const summary = summarise(run([taken, refused], { admitted: [taken] }));
    expect(summary.refusals).toEqual({ too_many_sessions: 1 });
    expect(brokenPromises(summary)).toEqual([]);
  });

  it('measures a fed session from the chunk that a segment needed', () => {
    const fed = talker(0, 0);
    fed.feeds = Array.from({ length: 61 }, (_, i) => ({
      at: FROM + (i + 1) * 1000,
      milliseconds: 10,
      seconds: 1,
      marked: false,
    }));
    fed.player.pieces = Array.from({ length: 58 }, (_, i) => {
      const at = FROM + (i + 2) * 1000 + 250;
      return { start: FROM / 1000 + i, seconds: 1, listedAt: at, at: at + 5 };
    });
    Object.assign(fed.media, { markers: [12, 0] });
    const summary = summarise({ ...run([fed]), live: false });
    // A second's segment needs 0.2 s of the speech behind it, which comes with the next chunk.
    expect(summary.latenessMilliseconds).toMatchObject({ p50: 250, p99: 250 });
    expect(summary.lateFrames).toBeUndefined();
  });
});
