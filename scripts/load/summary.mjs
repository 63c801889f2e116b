// From what sessions noted in a run to numbers.
import { quantile } from '../eval/statistics.mjs';
import { play } from './buffer-model.mjs';

/** What is promised of every session that was taken. */
export const MOST_LATENESS_MILLISECONDS = 500;
/** Seconds of media in which a session's own tone must have been heard once, roughly: utterances, or every fifth chunk. */
const MARKER_EVERY = { live: 8, fed: 5 };
/** Frames of the next window that a window must know: 0.2 s of speech behind a segment's end. */
const LOOK_AHEAD_SECONDS = 0.2;

/** @param run as `runLoad` returns it @returns plain numbers, for a table and for JSON */
export function summarise({ sessions, live, from, to, capacity, talkers, admitted, tester, usage, made }) {
  const seconds = (to - from) / 1000;
  const during = ({ at }) => at >= from && at <= to;
  const watched = admitted.map((talker) => watch(talker, { live, from, to, sessions }));
  const feeds = admitted.flatMap((talker) => talker.feeds.filter(during).map(({ milliseconds }) => milliseconds));
  const perSecond = (value) => value / (admitted.length * seconds);
  return {
    ...{ sessions, live, seconds, capacity },
    admitted: admitted.length,
    refusals: addUp(talkers.map(({ refusals }) => refusals)),
    feedMilliseconds: percentiles(feeds),
    latenessMilliseconds: percentiles(watched.flatMap(({ lateness }) => lateness)),
    stalls: total(watched.map(({ stalls }) => stalls)),
    stalledSeconds: total(watched.map(({ stalledSeconds }) => stalledSeconds)),
    lateFrames: live
      ? total(admitted.flatMap(({ late }) => late.filter(during).map(({ frames }) => frames)))
      : undefined,
    realTimeFactor: made.making > 0 ? made.video / made.making : undefined,
    cpu: usage && { service: perSecond(usage.service), encoder: perSecond(usage.encoders) },
    megabytes: usage && { service: usage.serviceMegabytes / admitted.length, encoder: usage.encoderMegabytes },
    testerCpu: tester / seconds,
    perSession: watched.map(({ lateness, ...session }) => ({
      ...session,
      latenessMilliseconds: percentiles(lateness),
    })),
    failures: watched.flatMap(({ session, faults }) => faults.map((fault) => `session ${session}: ${fault}`)),
  };
}

/** What one session's viewer had. */
function watch(talker, { live, from, to, sessions }) {
  const { index, player, feeds, failures, media } = talker;
  const pieces = player.pieces.filter(({ listedAt }) => listedAt >= from && listedAt <= to);
  const lateness = live ? pieces.map(behindClock) : behindSpeech(player.pieces, feeds, from, to);
  const { stalls, stalledSeconds, playedSeconds } = play(pieces, player.holdBack);
  const faults = [...failures, ...foreignMedia(media, index, live)];
  const wanted = (to - from) / 1000;
  // A player that got nothing never stood still.
  if (playedSeconds < 0.8 * wanted - 3) faults.push(`only ${playedSeconds.toFixed(1)} of ${wanted.toFixed(0)} s came`);
  if (player.missed > 0) faults.push(`${player.missed} segments had left the playlist before they were seen`);
  const { nearest, distance, markers = new Array(sessions).fill(0) } = media;
  return { session: index, stalls, stalledSeconds, playedSeconds, lateness, faults, nearest, distance, markers };
}

/** Milliseconds from the end of a part, by its stream's clock, to its listing. */
function behindClock({ start, seconds, listedAt }) {
  return listedAt - (start + seconds) * 1000;
}

/** Milliseconds from the answer to the feed that a segment's last frame needed to its listing. */
function behindSpeech(pieces, feeds, from, to) {
  const lateness = [];
  let end = 0;
  for (const { seconds, listedAt } of pieces) {
    end += seconds;
    let fed = 0;
    const needed = feeds.find((feed) => {
      fed += feed.seconds;
      return fed >= end + LOOK_AHEAD_SECONDS;
    });
    if (needed && listedAt >= from && listedAt <= to) lateness.push(listedAt - needed.at);
  }
  return lateness;
}

/** Why picture and sound are not the session's own. */
function foreignMedia({ error, nearest, markers, seconds }, index, live) {
  if (error) return [`what came cannot be decoded: ${error.message}`];
  const faults = [];
  if (nearest !== index)
    faults.push(`its picture looks like the portrait of session ${nearest ?? '(none: nothing came)'}`);
  const others = markers.flatMap((count, i) => (count > 0 && i !== index ? [`${i} (${count} times)`] : []));
  if (others.length > 0) faults.push(`the tone of session ${others.join(', ')} is in its sound`);
  const least = Math.max(1, Math.floor(seconds / MARKER_EVERY[live ? 'live' : 'fed']) - 2);
  if (markers[index] < least)
    faults.push(`its own tone was heard ${markers[index]} times, at least ${least} were expected`);
  return faults;
}

/** @returns `{p50, p95, p99, count}`; undefined where there is nothing */
export function percentiles(values) {
  if (values.length === 0) return undefined;
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => quantile(values, share));
  return { p50, p95, p99, count: values.length };
}

/** What of a run breaks a promise, in words; a session refused because the service is full breaks none. */
export function brokenPromises(summary) {
  const broken = [...summary.failures];
  if (summary.admitted === 0) broken.push('no session was taken');
  if (summary.stalls > 0) broken.push(`${summary.stalls} stalls, ${summary.stalledSeconds.toFixed(1)} s together`);
  const late = summary.latenessMilliseconds?.p99;
  if (summary.live && late > MOST_LATENESS_MILLISECONDS) {
    broken.push(`p99 of part lateness is ${late.toFixed(0)} ms, at most ${MOST_LATENESS_MILLISECONDS} is promised`);
  }
  for (const [code, count] of Object.entries(summary.refusals)) {
    if (code !== 'too_many_sessions') broken.push(`${code} was answered ${count} times`);
  }
  return broken;
}

function total(values) {
  return values.reduce((sum, value) => sum + value, 0);
}

function addUp(records) {
  const sums = {};
  for (const record of records) for (const [key, count] of Object.entries(record)) sums[key] = (sums[key] ?? 0) + count;
  return sums;
}
