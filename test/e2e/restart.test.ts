import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Api } from '../support/api.js';
import { decodedFrames, sound, wav } from '../support/media.js';
import { freePort, healthy, startProgram } from '../support/program.js';
import { samplePortrait } from '../support/service.js';

// A service that is killed, or stopped, and started again: nothing that it accepted may be lost.

const RATE = 24_000;
/** Where clicks lie, seconds from one to the next. */
const CLICK_SECONDS = 0.25;

let hls: string;
let url: string;
let api: Api;
let child: ChildProcess;

beforeAll(async () => {
  hls = await mkdtemp(join(tmpdir(), 'facecast-restart-'));
  url = `http://127.0.0.1:${await freePort()}`;
  api = new Api(url);
  await start();
});

afterAll(async () => {
  child?.kill('SIGKILL');
  await rm(hls, { recursive: true, force: true });
});

function launch(): void {
  child = startProgram(hls, { PORT: new URL(url).port, DEVICE: 'cpu' }).child;
}

async function start(): Promise<void> {
  launch();
  await healthy(url);
}

/** 0 where nobody answers. */
const statusOf = (path: string) =>
  fetch(`${url}${path}`).then(
    ({ status }) => status,
    () => 0,
  );

async function restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  child.kill(signal);
  await once(child, 'close');
  await start();
}

/** A low hum with a click four times a second. */
function speech(seconds: number): Buffer {
  const pcm = Buffer.alloc(2 * RATE * seconds);
  for (let i = 0; i < RATE * seconds; i++) {
    const sinceClick = (i + RATE * CLICK_SECONDS - 2400) % (RATE * CLICK_SECONDS);
    const click = sinceClick < 24 ? 0.8 : 0;
    pcm.writeInt16LE(Math.round(32767 * (click + 0.05 * Math.sin((2 * Math.PI * 150 * i) / RATE))), 2 * i);
  }
  return pcm;
}

const chunkOf = (pcm: Buffer, from: number, to: number) => ({
  bytes: wav(pcm.subarray(2 * RATE * from, 2 * RATE * to), RATE),
});

/** Seconds of the clicks in a recorded talk. */
async function clicksIn(id: string): Promise<number[]> {
  const samples = await sound(await api.download(id));
  const clicks: number[] = [];
  for (let i = 0; i < samples.length; i++) {
    if (Math.abs(samples[i]!) < 0.35) continue;
    clicks.push(i / 48_000);
    i += 4800;
  }
  return clicks;
}

async function until(id: string, condition: (status: Record<string, number | string>) => boolean): Promise<void> {
  for (let i = 0; i < 1200; i++) {
    if (condition((await api.status(id)).body)) return;
    await sleep(25);
  }
  throw new Error('Waited in vain.');
}

it('a talk that is being fed goes on after kill -9, complete to the last sample', async () => {
  const pcm = speech(8);
  const id = await api.open(samplePortrait, { session_id: 'fed-through-a-crash', size: 256 });
  for (let i = 0; i < 3; i++) await api.feed(id, chunkOf(pcm, 2 * i, 2 * i + 2), { chunk_index: i });
  await until(id, ({ total_frames_generated: frames }) => Number(frames) >= 60);
  const { body: before } = await api.get(`/hls/${id}/playlist.m3u8`);
  child.kill('SIGKILL');
  await once(child, 'close');
  launch();
  // Viewers do not wait for the model; new sessions do, and are told to.
  for (let there = 0; there !== 200; await sleep(20)) there = await statusOf(`/hls/${id}/playlist.m3u8`);
  expect((await api.get('/health')).status).toBe(503);
  expect(await api.init(samplePortrait)).toMatchObject({ status: 503, body: { code: 'not_ready' } });
  await healthy(url);

  expect((await api.status(id)).body).toMatchObject({ session_id: id, error: null });
  // The answer to the last chunk may have been lost, so it comes again; and then the rest.
  const again = await api.feed(id, chunkOf(pcm, 4, 6), { chunk_index: 2 });
  expect(again.body).toMatchObject({ status: 'success', message: 'Chunk was accepted before; not played again.' });
  await api.feed(id, chunkOf(pcm, 6, 8), { chunk_index: 3, is_final_chunk: true });
  expect((await api.complete(id)).total_frames_generated).toBe(200);

  const { body: after } = await api.get(`/hls/${id}/playlist.m3u8`);
  expect(after.match(/#EXT-X-DISCONTINUITY\n/g)).toHaveLength(1);
  const listed = (before as string).match(/^segment-.*$/gm)!;
  expect((after as string).match(/^segment-.*$/gm)!.slice(0, listed.length)).toEqual(listed);
  expect(await decodedFrames(await api.download(id), 'v')).toHaveLength(200);
  const clicks = await clicksIn(id);
  expect(clicks).toHaveLength(32);
  for (const [i, at] of clicks.entries()) expect(Math.abs(at - 0.1 - i * CLICK_SECONDS)).toBeLessThan(0.01);

  // And what is complete can still be had after another crash.
  await restart('SIGKILL');
  expect((await api.status(id)).body).toMatchObject({ status: 'complete', total_frames_generated: 200 });
  expect((await api.get(`/hls/${id}/playlist.m3u8`)).body).toBe(after);
  expect((await api.feed(id, chunkOf(pcm, 0, 1))).body.code).toBe('session_closed');
  await api.delete(id);
});

it.each(['SIGKILL', 'SIGTERM'] as const)(
  'a live talk goes on after %s: same address, every click once',
  async (signal) => {
    const id = await api.open(samplePortrait, { live: true, record: true, size: 256 });
    // Dropped before the crash, so it stays dropped.
    await api.feed(id, chunkOf(speech(30), 0, 30));
    await sleep(300);
    await fetch(`${url}/api/audio-driven/chunked/interrupt`, {
      method: 'POST',
      body: new URLSearchParams({ session_id: id }),
    });
    await until(id, ({ status }) => status === 'waiting_for_audio');
    const dropped = (await api.status(id)).body.total_frames_generated / 25;
    await api.feed(id, chunkOf(speech(6), 0, 6));
    await until(id, ({ queued_seconds: seconds }) => Number(seconds) < 3.5);
    await restart(signal);

    expect((await api.status(id)).body).toMatchObject({ session_id: id, live: true, error: null });
    await api.feed(id, chunkOf(speech(2), 0, 2), { is_final_chunk: true });
    await api.complete(id);
    const { body: playlist } = await api.get(`/hls/${id}/multivariant.m3u8`);
    expect(playlist).toContain('playlist.m3u8');
    const clicks = (await clicksIn(id)).filter((at) => at > dropped);
    expect(clicks).toHaveLength(32);
    // Whole utterances, but for the pause that the crash made.
    const gaps = clicks.slice(1).map((at, i) => at - clicks[i]!);
    expect(gaps.filter((gap) => Math.abs(gap - CLICK_SECONDS) > 0.01).length).toBeLessThanOrEqual(2);
    await api.delete(id);
  },
);
