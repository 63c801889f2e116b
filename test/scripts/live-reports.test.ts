import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';

// The scripts are JavaScript; these parts of them make numbers and words of what was noted.
const { missed, timesOf } = require('../../scripts/live/latency-times.mjs');
const { soakPlan } = require('../../scripts/live/soak-plan.mjs');
const { brokenPromises, minuteLine, summarise, warmUpSeconds } = require('../../scripts/live/soak-report.mjs');

describe('the plan of a soak', () => {
  it('speaks, is silent, and interrupts, within its time', () => {
    const plan: { at: number; seconds: number; clicks: number[]; interruptAfter?: number }[] = soakPlan(300);
    expect(plan.length).toBeGreaterThan(20);
    for (const [i, { at, seconds, clicks }] of plan.entries()) {
      const next = plan[i + 1]?.at ?? 300;
      expect(at + seconds).toBeLessThan(next - 2);
      expect(Math.max(...clicks)).toBeLessThan(seconds);
    }
    const silences = plan.slice(1).map(({ at }, i) => at - plan[i]!.at - plan[i]!.seconds);
    expect(Math.max(...silences)).toBe(20);
    expect(plan.filter(({ interruptAfter }) => interruptAfter !== undefined)).toHaveLength(Math.floor(plan.length / 4));
    expect(soakPlan(30)).toHaveLength(2);
  });
});

/** What a soak of half an hour notes when all is well. */
function record() {
  const every = (step: number, until: number, value: (at: number) => number) =>
    Array.from({ length: Math.floor(until / step) }, (_, i) => [i * step, value(i * step)]);
  return {
    minutes: 30,
    frames: { frames: 45_000, late: 2, unread: 0, outOfPlace: [] as number[] },
    clicks: {
      measured: [
        { frame: 60, soundOffset: 0.1, pictureOffset: -0.1 },
        { frame: 90, soundOffset: -0.2 },
        { frame: 44_000, soundOffset: 0, pictureOffset: 0.2 },
      ],
      missing: 0,
      unwanted: 0,
    },
    edges: every(0.2, 1800, (at) => 30 + (at % 7)),
    memory: {
      // It grows while it warms up, which does not count.
      // Garbage comes and goes, more of it towards the end.
      service: every(10, 1800, (at) => Math.min(at, 290) / 10 + 200 + ((at / 10) % 6) * (at / 200)),
      encoder: every(10, 1800, () => 64),
    },
    events: { speech_started: 3 },
    lateTold: 2,
    utterances: 3,
    broken: 0,
    interruptions: 1,
    refused: 0,
    failures: [] as string[],
  };
}

describe('the report of a soak', () => {
  it('finds every promise kept when all is well', () => {
    const summary = summarise(record());
    expect(brokenPromises(summary)).toEqual([]);
    expect(summary.clicks).toMatchObject({ measured: 3, markHidden: 1, sound: { least: -0.2, median: 0, most: 0.1 } });
    expect(Math.abs(summary.memory.service.perTenMinutes)).toBeLessThan(0.1);
    expect(Math.abs(summary.playlist.drift)).toBeLessThan(1);
    expect(minuteLine(record(), 1799)).toMatch(/^ 29:59 {2}frames 45000, late 2, wrong 0; sound -0.20 to 0.10/);
  });

  type Record = ReturnType<typeof record>;
  /** Has a curve rise by so much for one unit of x. */
  function tilt(points: number[][], rise: number): void {
    for (const point of points) point[1]! += rise * point[0]!;
  }
  function delayAll({ clicks }: Record): void {
    for (const each of clicks.measured) each.soundOffset = 21;
  }
  it.each<[string, (soak: Record) => unknown, RegExp]>([
    ['a lost picture', ({ frames }) => frames.outOfPlace.push(7), /out of place/],
    ['an unread picture', ({ frames }) => frames.unread++, /could not be read/],
    ['a missing click', ({ clicks }) => clicks.missing++, /are not in the sound/],
    ['a click after an interruption', ({ clicks }) => clicks.unwanted++, /were interrupted/],
    ['a late click', delayAll, /click fed/],
    ['clicks that move', ({ clicks }) => (clicks.measured[2]!.soundOffset = 6), /click fed/],
    ['lips that are late', ({ clicks }) => (clicks.measured[2]!.pictureOffset = 40), /mark in the picture/],
    ['no clicks at all', ({ clicks }) => clicks.measured.splice(0), /click fed/],
    ['a playlist that drifts', ({ edges }) => tilt(edges, 0.05), /last third/],
    ['a leak in the service', ({ memory }) => tilt(memory.service, 0.002), /the service/],
    ['a leak in FFmpeg', ({ memory }) => tilt(memory.encoder, 0.002), /FFmpeg/],
    ['a memory that was never seen', ({ memory }) => memory.encoder.splice(0), /FFmpeg/],
    ['a playlist that is refused', (soak) => soak.refused++, /not there in time/],
    ['a failure', ({ failures }) => failures.push('It fell over.'), /went wrong/],
  ])('tells of %s', (_what, spoil, row) => {
    const soak = record();
    spoil(soak);
    const broken = brokenPromises(summarise(soak)).map(({ name }: { name: string }) => name);
    expect(broken).toContainEqual(expect.stringMatching(row));
  });

  it('does not judge memory by a few minutes', () => {
    const soak = record();
    tilt(soak.memory.service, 1);
    expect(brokenPromises(summarise({ ...soak, minutes: 5 }))).toEqual([]);
  });

  it('judges memory from the sixth minute on, or from the first third of a short run', () => {
    expect([0.5, 6, 15, 60].map(warmUpSeconds)).toEqual([10, 120, 300, 300]);
  });
});

describe('the times of a run', () => {
  const start = 1_000_000;
  /** Frames are drawn 100 ms and handed every 40 ms, listed 50 ms after the last of five, seen 1 s after they were handed. */
  function run() {
    const handed = Array.from({ length: 500 }, (_, frame) => {
      const handedAt = start + frame * 40;
      return { session: 0, position: frame, frame, drawnAt: handedAt - 100, handedAt };
    });
    return {
      from: start + 2000,
      to: start + 18_000,
      handed: [handed],
      listed: [
        Array.from({ length: 100 }, (_, i) => ({ lastPosition: 5 * i + 4, at: handed[5 * i + 4]!.handedAt + 50 })),
      ],
      fed: [start + 3000, start + 9000],
      notes: {
        pictures: handed.slice(100, 400).flatMap(({ frame, drawnAt, handedAt }) => {
          const seen = { at: handedAt + 1000, drawnAt, frame, click: frame === 150 ? 5 : undefined };
          return [seen, { ...seen, at: seen.at + 16 }];
        }),
        heard: [{ at: start + 7100 }, { at: start + 13_000 }],
        waits: [],
        errors: [{ details: 'bufferStalledError' }, { details: 'fragLoadError' }],
        droppedVideoFrames: 1,
        latency: 0.8,
      },
    };
  }

  it('are those between the same frame here and there', () => {
    const { times, ...counts } = timesOf(run());
    expect(times).toMatchObject({
      drawnToHanded: { p50: 100, p95: 100, p99: 100 },
      handedToListed: { p50: 50, p95: 50 },
      handedToSeen: { p50: 1000, count: 300 },
      drawnToSeen: { p50: 1100, p95: 1100 },
      // 4000 + 150 * 40 + 1000 ms after the start; the click of the second utterance was never seen.
      fedToSeen: { p50: 4000, count: 1 },
      fedToHeard: { count: 2, p50: 4050 },
    });
    expect(counts).toMatchObject({ late: 0, seen: 300, fed: 2, waits: 0, stalls: 1 });
    expect(missed({ times })).toEqual([]);
  });

  it('count pictures that stood in for others as late, and no more', () => {
    const late = run();
    late.handed[0] = late.handed[0]!.map((each, i) => (i % 10 === 9 ? { ...each, frame: i - 1 } : each));
    const { times, ...counts } = timesOf(late);
    expect(counts).toMatchObject({ frames: 401, late: 40 });
    expect(times.drawnToHanded.p99).toBe(100);
  });

  it('tell which target is missed, also where nothing was measured', () => {
    const slow = run();
    for (const part of slow.listed[0]!) part.at += 100;
    slow.notes.pictures = [];
    const { times } = timesOf(slow);
    expect(missed({ times })).toEqual([
      'handedToListed p95: 150 ms, not 80',
      'drawnToSeen p50: not measured ms, not 1600',
      'drawnToSeen p95: not measured ms, not 2200',
    ]);
  });
});

it('says where Chromium comes from when it is missing', () => {
  const script = resolve(__dirname, '../../scripts/bench-latency.mjs');
  const env = { ...process.env, CHROMIUM: '/nowhere/chromium' };
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8', env });
  expect(status).toBe(1);
  expect(stderr).toContain('There is no Chromium at /nowhere/chromium. Debian: apt-get install chromium.');
});

describe.each([
  ['soak.mjs', ['--minutes', '0.1'], '--minutes 0.1: from 0.5 to 10080.'],
  ['soak.mjs', ['--hours', '1'], "Unknown option '--hours'"],
  ['bench-latency.mjs', ['--seconds', '5'], '--seconds 5: a whole number from 12 to 3600.'],
  ['bench-latency.mjs', ['--sessions', '1.5'], '--sessions 1.5: a whole number from 1 to 16.'],
])('%s %j', (script, args, words) => {
  const path = resolve(__dirname, '../../scripts', script);
  const start = (options: string[]) => spawnSync(process.execPath, [path, ...options], { encoding: 'utf8' });

  it('says what is allowed', () => {
    const { status, stderr } = start(args);
    expect(status).toBe(2);
    expect(stderr).toContain(words);
    expect(stderr).toContain('--help');
  });

  it('has help', () => {
    const { status, stdout } = start(['--help']);
    expect(status).toBe(0);
    expect(stdout).toContain('npm run');
    expect(stdout).toContain(args[0] === '--hours' ? '--minutes' : args[0]!);
  });
});
