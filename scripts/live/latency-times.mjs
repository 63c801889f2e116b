// From what was noted in a run to times, all in milliseconds.
import { quantile } from '../eval/statistics.mjs';

/** What is promised, or aimed at, of each of the times. */
export const TARGETS = {
  handedToListed: { p95: 80 },
  drawnToSeen: { p50: 1600, p95: 2200 },
};

/**
 * @param run `{from, to, handed, listed, fed, notes}`: `handed` and `listed` have a list for each session; the first one was
 *   watched
 * @returns `{times, late, frames, waits, ...}`; each of `times` is `{count, p50, p95, p99}`, or undefined where nothing was
 */
export function timesOf({ from, to, handed, listed, fed, notes }) {
  const during = ({ at }) => at >= from && at <= to;
  const frames = handed.flatMap((list) => list.filter(({ handedAt }) => handedAt >= from && handedAt <= to));
  // An earlier picture that stands in was drawn long ago; that is no wait.
  const own = frames.filter(({ frame, position }) => frame === position);
  const pictures = firstSights(notes.pictures);
  const handedByFrame = new Map(handed[0].map((frame) => [frame.frame, frame.handedAt]));
  return {
    times: {
      drawnToHanded: summary(own.map(({ drawnAt, handedAt }) => handedAt - drawnAt)),
      handedToListed: summary(
        listed.flatMap((parts, i) => {
          const at = new Map(handed[i].map(({ position, handedAt }) => [position, handedAt]));
          return parts.filter(during).map((part) => part.at - at.get(part.lastPosition));
        }),
      ),
      handedToSeen: summary(pictures.map(({ at, frame }) => at - handedByFrame.get(frame))),
      drawnToSeen: summary(pictures.map(({ at, drawnAt }) => at - drawnAt)),
      fedToSeen: summary(
        nextAfter(
          fed,
          pictures.filter(({ click }) => click !== undefined),
        ),
      ),
      fedToHeard: summary(nextAfter(fed, notes.heard)),
    },
    frames: frames.length,
    late: frames.length - own.length,
    seen: pictures.length,
    fed: fed.length,
    waits: notes.waits.length,
    stalls: notes.errors.filter(({ details }) => details === 'bufferStalledError').length,
    droppedByBrowser: notes.droppedVideoFrames,
    playerLatency: notes.latency * 1000,
  };
}

/** Each picture when it was first seen. */
function firstSights(pictures) {
  const seen = new Set();
  return pictures.filter(({ frame }) => !seen.has(frame) && seen.add(frame));
}

/** For each beginning the time to the first thing after it, unless another beginning comes before that. */
function nextAfter(beginnings, things) {
  return beginnings.flatMap((start, i) => {
    const next = things.find(({ at }) => at > start);
    return next && next.at < (beginnings[i + 1] ?? Number.POSITIVE_INFINITY) ? [next.at - start] : [];
  });
}

function summary(values) {
  const known = values.filter(Number.isFinite);
  if (known.length === 0) return undefined;
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => quantile(known, share));
  return { count: known.length, p50, p95, p99 };
}

/** Targets that are missed, in words. */
export function missed({ times }) {
  return Object.entries(TARGETS).flatMap(([name, targets]) =>
    Object.entries(targets)
      .filter(([share, most]) => !(times[name]?.[share] <= most))
      .map(
        ([share, most]) => `${name} ${share}: ${times[name]?.[share]?.toFixed(0) ?? 'not measured'} ms, not ${most}`,
      ),
  );
}
