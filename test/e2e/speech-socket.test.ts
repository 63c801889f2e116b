import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { Api } from '../support/api.js';
import { pcm, sound } from '../support/media.js';
import { samplePortrait, sampleSpeech, startService, type TestService } from '../support/service.js';
import { makeTinyPack } from '../support/tiny-pack.js';

// The whole service, with a live session that is spoken to by WebSocket.

const RATE = 24_000;
let service: TestService;
let pack: string;
let api: Api;
let speech: Buffer;

beforeAll(async () => {
  speech = await pcm(sampleSpeech, RATE, 4);
  // What it looks like is not looked at.
  pack = await makeTinyPack();
  service = await startService({ packDirectory: pack });
  api = new Api(service.url);
});
afterAll(async () => {
  await service.close();
  await rm(pack, { recursive: true });
});

class Speaker {
  readonly told: Record<string, unknown>[] = [];
  readonly closed: Promise<number>;
  readonly socket: WebSocket;

  constructor(id: string) {
    this.socket = new WebSocket(`${service.url.replace('http', 'ws')}/api/audio-driven/chunked/stream/${id}`);
    this.socket.on('message', (text) => this.told.push(JSON.parse(text.toString())));
    this.closed = once(this.socket, 'close').then(([code]) => code);
  }

  static async connect(id: string): Promise<Speaker> {
    const speaker = new Speaker(id);
    await speaker.until('ready');
    return speaker;
  }

  say(type: string): void {
    this.socket.send(JSON.stringify({ type }));
  }

  until(type: string): Promise<Record<string, unknown>> {
    return this.find((message) => message.type === type);
  }

  /** The first message that fits. @throws Error when the socket is closed without one */
  async find(fits: (message: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.told.find(fits);
      if (found) return found;
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error(`closed: ${JSON.stringify(this.told)}`);
      await sleep(10);
    }
  }
}

/** 48 kHz samples of which the loudest is this loud. */
function peak(samples: Float32Array): number {
  return samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
}

it('what is sent is what is heard, once and whole', async () => {
  const id = await api.open(samplePortrait, { live: true, record: true, audio_sample_rate: RATE });
  const speaker = await Speaker.connect(id);
  for (let at = 0; at < speech.length; at += 4801) speaker.socket.send(speech.subarray(at, at + 4801));
  speaker.say('finish');
  expect(await speaker.closed).toBe(1000);
  const { queued_seconds: queued } = speaker.told.filter(({ type }) => type === 'status').at(-1) ?? {};
  expect(queued).toBeLessThanOrEqual(4.1);

  const heard = await sound(await api.download(id));
  const sent = new Float32Array(speech.length / 2).map((_, i) => speech.readInt16LE(2 * i) / 32768);
  // Their envelopes in steps of 20 ms, laid over each other where they fit best.
  const [envelopeSent, envelopeHeard] = [envelope(sent, RATE / 50), envelope(heard, 48_000 / 50)];
  let best = { at: 0, correlation: -1 };
  for (let at = 0; at + envelopeSent.length <= envelopeHeard.length; at++) {
    const correlation = correlate(envelopeSent, envelopeHeard.slice(at, at + envelopeSent.length));
    if (correlation > best.correlation) best = { at, correlation };
  }
  expect(best.correlation).toBeGreaterThan(0.98);
  // Silence before it, but for the first moments of a talk none; silence behind.
  expect(peak(heard.subarray(0, Math.max(0, best.at - 2) * 960))).toBeLessThan(0.01);
  expect(peak(heard.subarray((best.at + envelopeSent.length + 2) * 960))).toBeLessThan(0.01);
});

it('an interruption by word empties the queue, and the talk goes on', async () => {
  const id = await api.open(samplePortrait, { live: true, audio_sample_rate: RATE });
  const speaker = await Speaker.connect(id);
  // A minute: more than is taken in at once, however busy the machine is.
  for (let i = 0; i < 15; i++) speaker.socket.send(speech);
  await speaker.find(({ paused }) => paused === true);
  speaker.say('interrupt');
  const { dropped_seconds: dropped } = await speaker.until('interrupted');
  expect(dropped).toBeGreaterThan(10);
  expect(dropped).toBeLessThanOrEqual(60);
  expect((await api.status(id)).body.queued_seconds).toBeLessThan(0.5);
  speaker.socket.send(speech.subarray(0, RATE));
  speaker.say('end_of_utterance');
  await speaker.until('utterance_ended');
  speaker.say('finish');
  expect(await speaker.closed).toBe(1000);
});

it('a deleted session, and one that is not live', async () => {
  const id = await api.open(samplePortrait, { live: true });
  const speaker = await Speaker.connect(id);
  speaker.socket.send(speech);
  await api.delete(id);
  expect(await speaker.closed).toBe(4404);

  const fed = await api.open(samplePortrait);
  const refused = new Speaker(fed);
  expect(await refused.closed).toBe(4409);
  expect(refused.told).toEqual([expect.objectContaining({ type: 'error', code: 'not_live' })]);
});

function envelope(samples: Float32Array, step: number): number[] {
  const levels: number[] = [];
  for (let at = 0; at + step <= samples.length; at += step) {
    levels.push(Math.sqrt(samples.subarray(at, at + step).reduce((sum, sample) => sum + sample * sample, 0) / step));
  }
  return levels;
}

function correlate(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  a.forEach((value, i) => {
    ab += (value - ma) * (b[i] - mb);
    aa += (value - ma) ** 2;
    bb += (b[i] - mb) ** 2;
  });
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : 0;
}
