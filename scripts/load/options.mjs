// What `npm run load` takes on its command line.
import { parseArgs } from 'node:util';
import { wholeOption } from '../command-line.mjs';

export const HELP = `npm run load -- [--sessions 6 --seconds 60 --live --url URL --json FILE --chart FILE --assert]

Sessions that talk at the same time, each with its own portrait and speech, fed in real time and watched by a stand-in for a
player. Prints what they felt and what they cost (docs/load.md says how to read it).

  --sessions 6     1 to 40 at the same time; 6-10: one run for each number, for a curve
  --seconds 60     10 to 86400, after a warm-up of 4
  --live           live sessions, with utterances and pauses; else speech is fed without a pause, in chunks of 1 s
  --url URL        a service that runs already; else one is started on this machine, with this environment's settings
                   its API key, where it asks for one, is the environment's FACECAST_API_KEY
  --json FILE      write all numbers there as well
  --chart FILE     draw lateness by the number of live sessions, as SVG
  --assert         exit code 1 when a promise is broken`;

/** Tones that tell sessions apart, and tints of portraits, are no more. */
const MOST_SESSIONS = 40;

/**
 * @returns `{counts, seconds, live, url, apiKey, json, chart, assert, help}`; `counts` are numbers of sessions, one for each run
 * @throws Error which option does not fit, and what is allowed
 */
export function readOptions(args, environment = process.env) {
  const { values } = parseArgs({
    args,
    options: {
      sessions: { type: 'string', default: '6' },
      seconds: { type: 'string', default: '60' },
      live: { type: 'boolean', default: false },
      url: { type: 'string' },
      json: { type: 'string' },
      chart: { type: 'string' },
      assert: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.chart && !values.live) throw new Error('--chart draws live sessions: give --live too.');
  return {
    ...values,
    counts: counts(values.sessions),
    seconds: wholeOption('seconds', values.seconds, 10, 86_400),
    url: address(values.url),
    apiKey: environment.FACECAST_API_KEY || undefined,
  };
}

function counts(text) {
  const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (!(from >= 1 && from <= to && to <= MOST_SESSIONS)) {
    throw new Error(`--sessions ${text}: a whole number from 1 to ${MOST_SESSIONS}, or two such as 6-10.`);
  }
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

function address(text) {
  if (text === undefined) return undefined;
  if (/^https?:$/.test(protocolOf(text))) return text.replace(/\/+$/, '');
  throw new Error(`--url ${text}: an address such as http://localhost:9999.`);
}

function protocolOf(text) {
  try {
    return new URL(text).protocol;
  } catch {
    return '';
  }
}
