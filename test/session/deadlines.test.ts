import { setTimeout as sleep } from 'node:timers/promises';
import { AudioChunkBuffer } from '../../src/audio/audio-chunk-buffer.js';
import { type Avatar, MOST_REWOUND_FRAMES, type Motion, type MotionWindow } from '../../src/avatar/engine.js';
import { now } from '../../src/clock.js';
import type { HlsStream } from '../../src/hls/hls-stream.js';
import { InferenceQueue, type Station } from '../../src/inference/inference-queue.js';
import { FedTalk } from '../../src/session/fed-talk.js';
import { LiveTalk } from '../../src/session/live-talk.js';
import { SpeechInput } from '../../src/session/speech-input.js';
import type { Talk } from '../../src/session/talk.js';

// Several talks, one device: who is served when. What is counted are the device's runs, not seconds.

/** A device that takes its time and knows for whom its runs were. */
class Device {
  readonly queue = new InferenceQueue(0);
  readonly runs: ReadonlySet<Avatar>[] = [];
  readonly #runMilliseconds: number;

  constructor(runMilliseconds: number) {
    this.#runMilliseconds = runMilliseconds;
  }

  /** One item a run, as windows are; or up to five, as frames are. @returns which run it was, from 1 */
  station(most: number): Station<Avatar, number> {
    return {
      sizes: Array.from({ length: most }, (_, i) => i + 1),
      run: async (items) => {
        const run = this.runs.push(new Set(items));
        await sleep(this.#runMilliseconds);
        return items.map(() => run);
      },
    };
  }
}

/** An avatar whose work waits for a device that it shares with others, as `LocalAvatar`'s does. */
class QueuedAvatar implements Avatar {
  readonly warnings: readonly string[] = [];
  /** For each call, how many runs for others were begun before it was served. */
  readonly waits: number[] = [];
  /** The latest deadline that it was given. */
  furthest = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly device: Device,
    private readonly stations: {
      readonly motion: Station<Avatar, number>;
      readonly frames: Station<Avatar, number>;
    },
  ) {}

  async generateMotion({ startFrame, frames, overlapFrames }: MotionWindow, dueAt: number): Promise<Motion> {
    await this.#do(this.stations.motion, 1, dueAt);
    const final = frames - overlapFrames;
    return { startFrame, frames: final, tokens: new Float32Array(final) };
  }

  async render({ frames }: Motion, dueAt: number): Promise<Uint8Array> {
    await this.#do(this.stations.frames, frames, dueAt);
    return new Uint8Array(frames);
  }

  async close(): Promise<void> {
    this.device.queue.cancel(this);
  }

  async #do(station: Station<Avatar, number>, items: number, dueAt: number): Promise<void> {
    this.furthest = Math.max(this.furthest, dueAt);
    const { queue, runs } = this.device;
    const before = runs.length;
    const jobs = Array.from({ length: items }, () => queue.do(station, this, { dueAt, owner: this }));
    const last = Math.max(...(await Promise.all(jobs)));
    this.waits.push(runs.slice(before, last).filter((run) => !run.has(this)).length);
  }
}

const nowhere = {
  framesUnsettled: 0,
  writeSound: () => undefined,
  writeFrames: () => undefined,
  drained: () => new Promise(setImmediate),
  finish: async () => undefined,
} as unknown as HlsStream;

let device: Device;
let open: (make: (avatar: Avatar) => Talk) => { avatar: QueuedAvatar; talk: Talk };
let opened: { avatar: QueuedAvatar; talk: Talk }[];

function use(runMilliseconds: number): void {
  device = new Device(runMilliseconds);
  const stations = { motion: device.station(1), frames: device.station(5) };
  opened = [];
  open = (make) => {
    const avatar = new QueuedAvatar(device, stations);
    const talk = make(avatar);
    talk.start({
      onSpeech: () => undefined,
      onLag: () => undefined,
      onShown: () => undefined,
      onComplete: () => undefined,
      onFailure: () => undefined,
    });
    opened.push({ avatar, talk });
    return { avatar, talk };
  };
}

const live = () =>
  open((avatar) => {
    const windows = new AudioChunkBuffer({
      chunkDurationSeconds: 0.32,
      contextFrames: 5,
      liveFrames: MOST_REWOUND_FRAMES,
    });
    return new LiveTalk({ avatar, windows, stream: nowhere, maxQueuedSeconds: 60 });
  });

const fed = () =>
  open((avatar) => {
    const input = new SpeechInput({ chunkDurationSeconds: 1, contextFrames: 5 });
    return new FedTalk({ avatar, input, stream: nowhere, framesAhead: 5, maxQueuedSeconds: 60 });
  });

afterEach(async () => {
  for (const { avatar, talk } of opened) {
    talk.stop();
    await avatar.close();
  }
  for (const { talk } of opened) await talk.settled();
});

it('a live talk waits for one run at most, however many fed ones are being made far ahead', async () => {
  use(6);
  const speech = { samples: new Float32Array(40 * 16_000), sampleRate: 16_000 };
  const ahead = Array.from({ length: 4 }, fed);
  await Promise.all(ahead.map(({ talk }) => talk.push(speech, 0)));
  // Ahead by so much that what is in the queue of theirs is ahead as well.
  const isAhead = () => ahead.every(({ avatar }) => avatar.furthest > now() + 3000);
  while (!isAhead() && ahead.every((other) => other.talk.frames < 600)) await sleep(5);
  const begun = device.runs.length;
  const { avatar, talk } = live();
  while (avatar.waits.length < 20 && ahead.every((other) => other.talk.speaking)) await sleep(5);
  expect(ahead.every((other) => other.talk.speaking)).toBe(true);
  expect(talk.frames).toBeGreaterThan(0);
  // None after the run that was under way.
  expect(avatar.waits).toEqual(avatar.waits.map(() => 0));
  // Nor was the device idle meanwhile: most of its runs were for the others.
  const others = device.runs.slice(begun).filter((run) => !run.has(avatar)).length;
  expect(others).toBeGreaterThan(2 * avatar.waits.length);
});

it('live talks that are too much for the device get their turns alike, and one that opens among them', async () => {
  use(30);
  const frames = (talks: { talk: Talk }[]) => Math.max(...talks.map(({ talk }) => talk.frames));
  const others = Array.from({ length: 8 }, live);
  while (frames(others) < 100) await sleep(20);
  const served = others.map(({ avatar }) => avatar.waits.length);
  const late = live();
  const from = frames(others);
  while (frames(others) < from + 200) await sleep(20);
  const turns = [...others.map(({ avatar }, i) => avatar.waits.length - served[i]!), late.avatar.waits.length];
  expect(late.talk.frames).toBeGreaterThan(50);
  expect(Math.min(...turns)).toBeGreaterThan(Math.max(...turns) / 2);
});
