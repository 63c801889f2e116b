import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { WebSocket } from 'ws';
import { FacecastClient, type SessionEvent, type SpeechStatus } from '../../clients/typescript/facecast-client.js';
import { durations, pcm } from '../support/media.js';
import { samplePortrait, sampleSpeech, startService, type TestService } from '../support/service.js';
import { makeTinyPack } from '../support/tiny-pack.js';

// The TypeScript client against the whole service, in a live session.

const RATE = 24_000;
let service: TestService;
let pack: string;
let client: FacecastClient;
let portrait: Buffer;

beforeAll(async () => {
  portrait = await readFile(samplePortrait);
  // What it looks like is not looked at.
  pack = await makeTinyPack();
  service = await startService({ packDirectory: pack });
  client = new FacecastClient(service.url, { WebSocket });
});
afterAll(async () => {
  await service.close();
  await rm(pack, { recursive: true });
});

it('speaks, is interrupted, speaks again, finishes and keeps the talk', async () => {
  const speech = await pcm(sampleSpeech, RATE, 6);
  const session = await client.init(portrait, { live: true, record: true, audioSampleRate: RATE });
  expect(session.live).toBe(true);
  expect(await (await fetch(session.multivariantUrl)).text()).toContain('#EXT-X-STREAM-INF');

  const events: SessionEvent[] = [];
  const listening = (async () => {
    for await (const event of session.events({ after: 0 })) events.push(event);
  })();
  const states: SpeechStatus[] = [];
  const socket = await session.openSpeech({ onStatus: (status) => states.push(status) });

  // A minute, faster than it plays: more than the service takes at once.
  const sending = Promise.all(Array.from({ length: 10 }, () => socket.send(speech)));
  const full = (async () => {
    while (!states.some(({ paused }) => paused)) await new Promise((resolve) => setTimeout(resolve, 10));
  })();
  // A socket that closes rejects.
  await Promise.race([full, socket.closed]);
  expect((await socket.status()).queuedSeconds).toBeGreaterThan(9);
  const { droppedSeconds } = await socket.interrupt();
  expect(droppedSeconds).toBeGreaterThan(5);
  await sending;
  expect((await socket.status()).queuedSeconds).toBeLessThan(0.5);

  await socket.send(speech.subarray(0, 2 * RATE));
  await socket.endUtterance();
  await socket.finish();
  await listening;
  expect((await session.status()).status).toBe('complete');
  const types = events.map(({ type }) => type).filter((type) => type !== 'lagging');
  expect(types.filter((type) => type === 'interrupted')).toHaveLength(1);
  expect(types.slice(-3)).toEqual(['speech_started', 'speech_ended', 'closed']);
  expect(events.find(({ type }) => type === 'interrupted')!.droppedSeconds).toBeLessThanOrEqual(droppedSeconds);
  // The second utterance is a second long, whatever was dropped before it.
  const [started, ended] = events.filter(({ type }) => type.startsWith('speech_')).slice(-2);
  expect(ended.seconds - started.seconds).toBeCloseTo(1, 0.5);

  const mp4 = new Uint8Array(await (await session.download()).arrayBuffer());
  expect((await durations(mp4)).video).toBeGreaterThan(ended.seconds);
  await session.cleanup();
});

it("brings a browser's recording", async () => {
  const { stdout: recording } = await promisify(execFile)(
    'ffmpeg',
    [
      ...['-nostdin', '-v', 'error', '-i', sampleSpeech, '-t', '2'],
      ...['-c:a', 'libopus', '-live', '1', '-f', 'webm', '-'],
    ],
    { encoding: 'buffer' },
  );
  const session = await client.init(portrait, { live: true });
  const events = session.events({ after: 0 });
  const socket = await session.openSpeech({ format: 'webm' });
  for (let at = 0; at < recording.length; at += 4000) await socket.send(new Blob([recording.subarray(at, at + 4000)]));
  await socket.endUtterance();
  await socket.close();
  const found: SessionEvent[] = [];
  for await (const event of events) {
    if (event.type.startsWith('speech_')) found.push(event);
    if (event.type === 'speech_ended') break;
  }
  expect(found.map(({ type }) => type)).toEqual(['speech_started', 'speech_ended']);
  expect(Math.abs(found[1].seconds - found[0].seconds - 2)).toBeLessThan(0.3);
  await session.cleanup();
});

it('tells why a session does not take it', async () => {
  const session = await client.init(portrait);
  await expect(session.openSpeech()).rejects.toMatchObject({ code: 'not_live' });
  await expect(session.interrupt()).rejects.toMatchObject({ code: 'not_live' });
  await session.cleanup();
  await expect(session.openSpeech()).rejects.toMatchObject({ code: 'session_not_found' });
  await expect(session.events().next()).rejects.toMatchObject({ code: 'session_not_found' });
});
