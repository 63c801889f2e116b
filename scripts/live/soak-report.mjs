// What a soak has found, beside what is promised.
import { quantile } from '../eval/statistics.mjs';
import { slope } from './trend.mjs';

/** Milliseconds between a click that was fed and its place in the stream, and between sound and picture. */
const MOST_OFFSET = 20;
/** Milliseconds by which that may change in a session. */
const MOST_SPREAD = 5;
/** Milliseconds that the playlist's time may go away from the clock. */
const MOST_DRIFT = 50;
/** Megabytes gained in ten minutes. */
const MOST_GROWTH = 1;
/** Runs of so many minutes tell whether memory grows. */
const JUDGED_MINUTES = 15;
/** So many minutes have least values that tell a slope. */
const LEAST_MINUTES = 5;

/** Seconds at the beginning that memory is not judged by. */
export function warmUpSeconds(minutes) {
  return minutes >= JUDGED_MINUTES ? 300 : minutes * 20;
}

/** The numbers of a soak's record. */
export function summarise(record) {
  const { minutes, frames, clicks, edges, memory, failures } = record;
  const own = ({ pictureOffset }) => pictureOffset !== undefined;
  const { late, unread, outOfPlace } = frames;
  return {
    minutes,
    frames: { checked: frames.frames, late, lateTold: record.lateTold, unread, outOfPlace: outOfPlace.length },
    clicks: {
      measured: clicks.measured.length,
      missing: clicks.missing,
      unwanted: clicks.unwanted,
      markHidden: clicks.measured.filter((click) => !own(click)).length,
      sound: spread(clicks.measured.map(({ soundOffset }) => soundOffset)),
      picture: spread(clicks.measured.filter(own).map(({ pictureOffset }) => pictureOffset)),
    },
    playlist: { edge: spread(edges.map(([, edge]) => edge)), drift: drift(edges), refused: record.refused },
    memory: Object.fromEntries(
      Object.entries(memory).map(([name, points]) => [name, growth(points, warmUpSeconds(minutes))]),
    ),
    speech: { utterances: record.utterances, interrupted: record.interruptions, ranDry: record.broken },
    events: record.events,
    failures,
  };
}

function spread(values) {
  if (values.length === 0) return undefined;
  return { least: Math.min(...values), median: quantile(values, 0.5), most: Math.max(...values) };
}

/** How far the playlist's edge has moved from the first third to the last one, by their medians. */
function drift(points) {
  const third = Math.floor(points.length / 3);
  if (third === 0) return undefined;
  const middle = (some) =>
    quantile(
      some.map(([, edge]) => edge),
      0.5,
    );
  return middle(points.slice(-third)) - middle(points.slice(0, third));
}

/**
 * Megabytes at the end of the warm-up and at the end, and gained in ten minutes between. The least of each minute counts,
 * where there are enough: what is above it is waiting to be collected.
 */
function growth(points, warmUp) {
  const judged = points.filter(([seconds]) => seconds >= warmUp);
  if (judged.length < 2) return undefined;
  const least = leastOfEach(60, judged);
  const line = least.length >= LEAST_MINUTES ? least : judged;
  return { from: line[0][1], to: line.at(-1)[1], perTenMinutes: slope(line) * 600 };
}

/** The lowest point of each stretch of so many seconds. */
function leastOfEach(seconds, points) {
  const lowest = new Map();
  for (const point of points) {
    const stretch = Math.floor(point[0] / seconds);
    if (!(lowest.get(stretch)?.[1] <= point[1])) lowest.set(stretch, point);
  }
  return [...lowest.values()];
}

/** Rows of the table: `{name, value, promise?, kept?}`. */
export function rows({ minutes, frames, clicks, playlist, memory, speech, failures }) {
  const within = (range, limit) =>
    range !== undefined && Math.max(Math.abs(range.least), Math.abs(range.most)) <= limit;
  const constant = ({ least, most }) => most - least <= MOST_SPREAD;
  const none = (name, count) => ({ name, value: String(count), promise: 'none', kept: count === 0 });
  return [
    { name: 'frames decoded and looked at', value: String(frames.checked) },
    none('pictures out of place, lost or shown again', frames.outOfPlace),
    none('pictures whose code could not be read', frames.unread),
    {
      name: 'drawn too late, the one before them stayed (told as lagging)',
      value: `${frames.late} (${frames.lateTold})`,
    },
    {
      name: 'utterances, interrupted, run dry',
      value: `${speech.utterances}, ${speech.interrupted}, ${speech.ranDry}`,
    },
    none('clicks that were fed and are not in the sound', clicks.missing),
    none('clicks in the sound that were interrupted', clicks.unwanted),
    {
      name: `click fed -> its sample in the stream, ms (${clicks.measured} clicks)`,
      value: inWords(clicks.sound),
      promise: `at most ${MOST_OFFSET}, within ${MOST_SPREAD} of each other`,
      kept: within(clicks.sound, MOST_OFFSET) && constant(clicks.sound),
    },
    {
      name: `its sample -> its mark in the picture, ms (${clicks.markHidden} hidden by late pictures)`,
      value: inWords(clicks.picture),
      promise: `at most ${MOST_OFFSET}, within ${MOST_SPREAD} of each other`,
      kept: within(clicks.picture, MOST_OFFSET) && constant(clicks.picture),
    },
    none('playlists that were not there in time (503)', playlist.refused),
    { name: 'the end of what is listed -> the clock, ms', value: inWords(playlist.edge) },
    {
      name: 'the same, last third less first third, ms',
      value: playlist.drift?.toFixed(1) ?? 'not measured',
      promise: `at most ${MOST_DRIFT}`,
      kept: Math.abs(playlist.drift ?? Number.POSITIVE_INFINITY) <= MOST_DRIFT,
    },
    ...Object.entries({ service: 'the service, with its workers', encoder: 'FFmpeg' }).map(([key, name]) => {
      const { from, to, perTenMinutes } = memory[key] ?? {};
      const known = perTenMinutes !== undefined;
      return {
        name: `memory of ${name}, MB`,
        value: known ? `${from.toFixed(1)} to ${to.toFixed(1)}, ${perTenMinutes.toFixed(2)} in 10 min` : 'not measured',
        // A few minutes of noise tell no slope.
        ...(minutes >= JUDGED_MINUTES && {
          promise: `below ${MOST_GROWTH} in 10 min`,
          kept: known && perTenMinutes < MOST_GROWTH,
        }),
      };
    }),
    { name: 'went wrong', value: failures.join(' ') || 'nothing', promise: 'nothing', kept: failures.length === 0 },
  ];
}

export function brokenPromises(summary) {
  return rows(summary).filter(({ kept }) => kept === false);
}

function inWords(range) {
  if (!range) return 'not measured';
  return `${range.least.toFixed(2)} to ${range.most.toFixed(2)}, median ${range.median.toFixed(2)}`;
}

export function printSoak(summary) {
  console.log(`\nOne live session, ${summary.minutes} minutes, Node ${process.version}\n`);
  for (const { name, value, promise, kept } of rows(summary)) {
    const verdict = promise === undefined ? '' : `${kept ? 'kept  ' : 'BROKEN'} (${promise})`;
    console.log(`  ${name.padEnd(64)} ${value.padEnd(34)} ${verdict}`);
  }
  const broken = brokenPromises(summary).length;
  console.log(broken === 0 ? '\nEvery promise was kept.' : `\n${broken} promises were broken.`);
}

/** How it stands, on one line. */
export function minuteLine(record, seconds) {
  const { frames, clicks, edges, memory, failures } = record;
  const time = `${String(Math.floor(seconds / 60)).padStart(3)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
  const recent = edges.filter(([at]) => at > seconds - 60).map(([, edge]) => edge);
  const newest = (points) => points.at(-1)?.[1].toFixed(1) ?? '?';
  const offset = (key) => inWords(spread(clicks.measured.map((click) => click[key]).filter((x) => x !== undefined)));
  return [
    `${time}  frames ${frames.frames}, late ${frames.late}, wrong ${frames.outOfPlace.length + frames.unread}`,
    `sound ${offset('soundOffset')} ms, picture ${offset('pictureOffset')} ms, missing ${clicks.missing}`,
    `edge ${recent.length > 0 ? quantile(recent, 0.5).toFixed(0) : '?'} ms`,
    `service ${newest(memory.service)} MB, FFmpeg ${newest(memory.encoder)} MB`,
    ...(failures.length > 0 ? [`went wrong: ${failures.join(' ')}`] : []),
  ].join('; ');
}
