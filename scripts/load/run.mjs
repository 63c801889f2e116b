// One run: so many sessions at the same time, for so long.
import { setTimeout as sleep } from 'node:timers/promises';
import { startService } from '../service-process.mjs';
import { HttpClient } from './http-client.mjs';
import { ownMedia } from './own-media.mjs';
import { Talker } from './talker.mjs';
import { cpuSeconds, watchUsage } from './usage.mjs';

const WARM_UP_SECONDS = 4;
/** Between two sessions that are opened: nobody's callers all come at once. */
const BETWEEN_SECONDS = 0.5;

/**
 * @param options `root`, `url` of a service that runs (else one is started) and its `apiKey`, `live`, `seconds`, `sessions`, `material`
 * @returns what `summarise` takes
 */
export async function runLoad({ root, url, apiKey, live, seconds, sessions, material }) {
  const service = url ? undefined : await startService({ root, environment: { DRAIN_SECONDS: '0' } });
  const controller = new AbortController();
  const clients = [];
  const clientOf = () => {
    clients.push(new HttpClient(url ?? service.url, apiKey));
    return clients.at(-1);
  };
  let talkers = [];
  try {
    const capacity = await maxSessions(clientOf());
    await requireKey(clients[0]);
    const before = service && (await usageNow(service.pid));
    talkers = Array.from({ length: sessions }, (_, index) => new Talker(clientOf(), { index, live, material }));
    const talking = [];
    const admitted = [];
    for (const talker of talkers) {
      if (await talker.open()) {
        admitted.push(talker);
        talking.push(talker.talk(controller.signal));
      }
      await sleep(BETWEEN_SECONDS * 1000);
    }
    await sleep(WARM_UP_SECONDS * 1000);
    const from = Date.now();
    const ours = process.cpuUsage();
    const made = await videoMade(clients[0]);
    const watched = new AbortController();
    const usage = service && watchUsage(service.pid, watched.signal);
    await sleep(seconds * 1000);
    const to = Date.now();
    const madeThen = await videoMade(clients[0]);
    watched.abort();
    const spent = await usage;
    const tester = cpuOf(process.cpuUsage(ours));
    controller.abort();
    await Promise.all(talking);
    // Before anything is decoded here: that takes the cores from nobody any more.
    await Promise.all(talkers.map((talker) => talker.delete()));
    const thumbs = material.portraits.slice(0, sessions).map(({ thumb }) => thumb);
    for (const talker of admitted) talker.media = await ownMedia(talker.player, thumbs).catch((error) => ({ error }));
    const serviceMegabytes = spent && spent.serviceMegabytes - before.megabytes;
    return {
      ...{ sessions, live, from, to, capacity, talkers, admitted, tester },
      usage: spent && { ...spent, serviceMegabytes },
      made: { video: madeThen.video - made.video, making: madeThen.making - made.making },
    };
  } catch (cause) {
    throw new Error((await service?.ended()) ?? cause.message, { cause });
  } finally {
    controller.abort();
    for (const client of clients) client.close();
    await service?.stop();
  }
}

async function usageNow(pid) {
  const { serviceMegabytes } = await watchUsage(pid, AbortSignal.abort());
  return { megabytes: serviceMegabytes, cpu: await cpuSeconds(pid) };
}

function cpuOf({ user, system }) {
  return (user + system) / 1e6;
}

/** How many sessions the service says it takes. */
async function maxSessions(client) {
  const answer = await client.send('/health');
  if (answer.status !== 200) throw new Error(`${client.url}/health answered ${answer.status}: ${answer.body}`);
  return JSON.parse(answer.body).sessions?.max;
}

/** @throws Error where the service asks for a key and got none that it knows: no session would be taken */
async function requireKey(client) {
  const { status, body } = await client.send('/metrics');
  if (status !== 401) return;
  throw new Error(`${client.url}: ${JSON.parse(body).detail} Set FACECAST_API_KEY to one of its keys.`);
}

/** Seconds of video drawn so far, and seconds in which sessions had any being made (docs/monitoring.md); NaN where not told. */
async function videoMade(client) {
  const { status, body } = await client.send('/metrics');
  const sum = (name) =>
    [...body.toString().matchAll(new RegExp(`^facecast_${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))]
      .map(([, value]) => Number(value))
      .reduce((total, value) => total + value, 0);
  if (status !== 200) return { video: Number.NaN, making: Number.NaN };
  return { video: sum('video_seconds_total'), making: sum('making_seconds_total') };
}
