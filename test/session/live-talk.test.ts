import { setTimeout as sleep } from 'node:timers/promises';
import { AudioChunkBuffer } from '../../src/audio/audio-chunk-buffer.js';
import type { PcmAudio } from '../../src/audio/pcm.js';
import { type Avatar, MOST_REWOUND_FRAMES, type Motion, type MotionWindow } from '../../src/avatar/engine.js';
import type { HlsStream } from '../../src/hls/hls-stream.js';
import { LiveTalk } from '../../src/session/live-talk.js';

const SOUND_PER_FRAME = 1920;
const RATE = 48_000;

/** Draws frames of one pixel, as bright as their sound is loud, and insists on the contract of `Avatar`. */
class LoudnessAvatar implements Avatar {
  readonly warnings: readonly string[] = [];
  renderMilliseconds = 0;
  /** Motion waits for it. */
  held: Promise<void> = Promise.resolve();
  failure: Error | undefined;
  /** The first window may start anywhere. */
  #framesBehind: number | undefined;

  async generateMotion({ startFrame, frames, overlapFrames, contextFrames, waveform }: MotionWindow): Promise<Motion> {
    this.#framesBehind ??= startFrame;
    // Behind a gap motion begins anew, as at the first window.
    if (startFrame > this.#framesBehind) this.#framesBehind = startFrame;
    expect(startFrame).toBeGreaterThanOrEqual(this.#framesBehind - MOST_REWOUND_FRAMES);
    expect(waveform).toHaveLength((contextFrames + frames) * 640);
    const final = frames - overlapFrames;
    this.#framesBehind = startFrame + final;
    const tokens = Float32Array.from({ length: final }, (_, i) => {
      const at = (contextFrames + i) * 640;
      return Math.max(...waveform.subarray(at, at + 640).map(Math.abs));
    });
    await sleep(2);
    await this.held;
    return { startFrame, frames: final, tokens };
  }

  async render({ tokens }: Motion): Promise<Uint8Array> {
    await sleep(this.renderMilliseconds);
    if (this.failure) throw this.failure;
    return Uint8Array.from(tokens, (token) => Math.ceil(255 * Math.min(1, token)));
  }

  async close(): Promise<void> {}
}

/** What a stream was given. */
class Recorder {
  framesUnsettled = 0;
  framesStored = 0;
  segmentsFrom = 0;
  readonly segmentFrames = 25;
  readonly frames: number[] = [];
  #sound: Float32Array[] = [];

  writeFrames(picture: Uint8Array, count: number): void {
    expect(picture).toHaveLength(count);
    // The sound is written first, and not far ahead.
    expect(this.sound.length).toBeGreaterThanOrEqual((this.frames.length + 1) * SOUND_PER_FRAME);
    this.frames.push(...picture);
  }

  writeSound(samples: Float32Array): void {
    this.#sound.push(samples.slice());
  }

  async finish(): Promise<void> {}

  get sound(): Float32Array {
    const whole = new Float32Array(this.#sound.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const piece of this.#sound) {
      whole.set(piece, at);
      at += piece.length;
    }
    this.#sound = [whole];
    return whole;
  }
}

let avatar: LoudnessAvatar;
let stream: Recorder;
let talk: LiveTalk;
let told: [event: string, frame: number][];
let shown: [frame: number, sound: number, seconds: number][];
let sounds: number;
let completed: Promise<void>;

function begin({ chunkDurationSeconds = 0.4, maxQueuedSeconds = 60, startFrame = 0 } = {}): void {
  avatar = new LoudnessAvatar();
  stream = new Recorder();
  stream.segmentsFrom = startFrame;
  stream.framesStored = startFrame;
  told = [];
  shown = [];
  sounds = 0;
  const windows = new AudioChunkBuffer({
    chunkDurationSeconds,
    contextFrames: 19,
    liveFrames: MOST_REWOUND_FRAMES,
    startFrame,
  });
  talk = new LiveTalk({ avatar, windows, stream: stream as unknown as HlsStream, maxQueuedSeconds, startFrame });
  completed = new Promise((resolve, reject) => {
    talk.start({
      onSpeech: (speaking, frame) => told.push([speaking ? 'speech_started' : 'speech_ended', frame]),
      onLag: (frames) => told.push(['lagging', frames]),
      onShown: (...place) => shown.push(place),
      onComplete: resolve,
      onFailure: reject,
    });
  });
  completed.catch(() => undefined);
}

afterEach(async () => {
  talk.stop();
  await talk.settled();
});

/** As a session takes it in. */
async function push(pcm: PcmAudio): Promise<void> {
  talk.admit(pcm.samples.length / pcm.sampleRate);
  await talk.push(pcm, sounds++);
}

/** Sample i is its own number, so that every one tells its place; none is 0. */
const counting = (from: number, to: number) => ({
  sampleRate: RATE,
  samples: Float32Array.from({ length: to - from }, (_, i) => (from + i + 1) / 2 ** 20),
});

/** The samples that are not silence, as the numbers they were made of. */
const heard = () =>
  Array.from(
    stream.sound.filter((sample) => sample !== 0),
    (sample) => sample * 2 ** 20 - 1,
  );
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

async function until(condition: () => boolean, what: string): Promise<void> {
  const { frames } = talk;
  // In frames, not in seconds: where the machine is busy, the clock of a test is too.
  while (talk.frames < frames + 1500) {
    if (condition()) return;
    await sleep(5);
  }
  throw new Error(`Waited in vain: ${what}`);
}

it('goes on without speech, by the clock, with silence and with pictures of it', async () => {
  const since = performance.now();
  begin();
  await until(() => talk.frames >= 30, '30 frames');
  expect(performance.now() - since).toBeGreaterThan(30 * 40);
  expect(stream.sound.every((sample) => sample === 0)).toBe(true);
  expect(stream.frames.every((level) => level === 0)).toBe(true);
  expect(stream.sound.length - stream.frames.length * SOUND_PER_FRAME).toBeLessThanOrEqual(3 * SOUND_PER_FRAME);
  expect(told).toEqual([]);
  expect(talk.speaking).toBe(false);
});

it('speaks what is pushed, every sample once, lips and sound on the same frames', async () => {
  begin();
  await until(() => talk.frames >= 5, 'idling');
  await push(counting(0, 1.5 * RATE));
  expect(talk.speaking).toBe(true);
  await talk.endUtterance();
  await until(() => told.length === 2, 'speech ended');
  expect(heard()).toEqual(numbers(1.5 * RATE));
  const first = stream.sound.findIndex((sample) => sample !== 0);
  expect(first % SOUND_PER_FRAME).toBe(0);
  const start = first / SOUND_PER_FRAME;
  expect(told).toEqual([
    ['speech_started', start],
    ['speech_ended', start + 38],
  ]);
  const loud = stream.frames.map((level, frame) => (level > 0 ? frame : -1)).filter((frame) => frame >= 0);
  expect([loud[0], loud[loud.length - 1]]).toEqual([start, start + 37]);
  expect(talk.bufferedSamples).toBe(0);
});

it('plays an utterance that arrives bit by bit and unevenly without a gap', async () => {
  begin();
  const begun = performance.now();
  for (let i = 0; i < 100; i++) {
    await push(counting(i * 960, (i + 1) * 960));
    // 20 ms each, some of them up to 60 ms late.
    await sleep(Math.max(0, begun + i * 20 + (i % 7 === 3 ? 60 : 0) - performance.now()));
  }
  await talk.endUtterance();
  await until(() => told.length === 2, 'speech ended');
  expect(heard()).toEqual(numbers(96_000));
  const first = stream.sound.findIndex((sample) => sample !== 0);
  expect(stream.sound.subarray(first, first + 96_000).every((sample) => sample !== 0)).toBe(true);
});

it('late speech leaves a gap, shortens nothing and repeats nothing', async () => {
  begin();
  await push(counting(0, 20_000));
  await until(() => told.length === 2, 'ran dry');
  await push(counting(20_000, 50_000));
  await talk.endUtterance();
  await until(() => told.length === 4, 'ended');
  expect(heard()).toEqual(numbers(50_000));
  expect(told.map(([event]) => event)).toEqual(['speech_started', 'speech_ended', 'speech_started', 'speech_ended']);
});

it.each([0.2, 0.4, 2])(
  'an interruption closes the mouth within 300 ms of timeline; windows of %d s',
  async (seconds) => {
    begin({ chunkDurationSeconds: seconds });
    await push(counting(0, 20 * RATE));
    await until(() => told.length === 1 && stream.frames.length > told[0]![1] + 20, 'speaking');
    const dropping = talk.interrupt!();
    const at = stream.frames.length;
    const dropped = await dropping;
    await until(() => stream.frames.length > at + 40, 'silent again');
    // Nothing but silence from the eighth frame on.
    expect(stream.frames.slice(at + 8).every((level) => level === 0)).toBe(true);
    expect(stream.frames.slice(at - 5, at).every((level) => level > 0)).toBe(true);
    expect(stream.sound.subarray((at + 4) * SOUND_PER_FRAME).every((sample) => sample === 0)).toBe(true);
    // What was heard is the beginning, whole; then 10 ms of fading, which was dropped.
    const whole = heard().filter((number, i) => number === i).length;
    expect(whole / RATE + dropped / 16_000).toBeCloseTo(20, 3);
    expect(talk.bufferedSamples).toBe(0);

    await push(counting(0, RATE));
    await talk.endUtterance();
    const resumed = stream.frames.length;
    await until(() => told.filter(([event]) => event === 'speech_ended').length === 2, 'spoke again');
    const again = Array.from(stream.sound.subarray(resumed * SOUND_PER_FRAME).filter((sample) => sample !== 0));
    expect(again.map((sample) => sample * 2 ** 20 - 1)).toEqual(numbers(RATE));
  },
);

it('can be interrupted when its pictures are seconds late, and catches up', async () => {
  begin();
  await push(counting(0, 20 * RATE));
  await until(() => told.length === 1, 'speaking');
  let release = () => {};
  avatar.held = new Promise((resolve) => {
    release = resolve;
  });
  const { frames } = talk;
  // Later than the sound that is kept for motion that is made anew.
  await until(() => talk.frames > frames + MOST_REWOUND_FRAMES + 40, 'pictures are late');
  await talk.interrupt!().finally(release);
  const at = stream.frames.length;
  await push(counting(0, RATE));
  await talk.endUtterance();
  await until(() => told.filter(([event]) => event === 'speech_ended').length === 2, 'spoke again');
  await until(() => stream.frames.length > told.at(-1)![1] + 20, 'silent again');
  expect(stream.frames.slice(-3)).toEqual([0, 0, 0]);
  const again = Array.from(stream.sound.subarray((at + 4) * SOUND_PER_FRAME).filter((sample) => sample !== 0));
  expect(again.map((sample) => sample * 2 ** 20 - 1)).toEqual(numbers(RATE));
});

it('an interruption takes what is still being taken in', async () => {
  begin();
  const pushing = push(counting(0, 20 * RATE));
  const dropped = await talk.interrupt!();
  await pushing;
  expect(dropped).toBe(20 * 16_000);
  await sleep(600);
  expect(heard()).toEqual([]);
});

it('interruptions at any moment leave sound and picture in step', async () => {
  begin();
  for (let i = 0; i < 25; i++) {
    await push(counting(0, 24_000));
    if (i % 3 === 0) await talk.endUtterance();
    await sleep((i * 37) % 190);
    const dropped = talk.interrupt!();
    if (i % 4 === 0) await talk.interrupt!();
    await dropped;
  }
  await sleep(500);
  expect(stream.sound.length).toBe((stream.frames.length + 3) * SOUND_PER_FRAME);
  expect(stream.frames.slice(-3)).toEqual([0, 0, 0]);
});

it('can be interrupted while pictures are more than a window behind', async () => {
  begin();
  await until(() => talk.frames >= 5, 'idling');
  await push(counting(0, 5 * RATE));
  avatar.renderMilliseconds = 1500;
  const before = talk.frames;
  await until(() => talk.frames >= before + 30, 'lateness');
  expect(await talk.interrupt()).toBeGreaterThan(2);
  avatar.renderMilliseconds = 0;
  const interrupted = talk.frames;
  await until(() => talk.frames >= interrupted + 30, 'going on');
  expect(stream.frames.slice(-5)).toEqual([0, 0, 0, 0, 0]);
  expect(stream.sound.subarray((interrupted + 5) * SOUND_PER_FRAME).every((sample) => sample === 0)).toBe(true);
});

it('goes on with the picture before where one comes too late, and says so; the sound is whole', async () => {
  begin();
  await until(() => talk.frames > 5, 'idling');
  avatar.renderMilliseconds = 700;
  await push(counting(0, 2 * RATE));
  await talk.endUtterance();
  await until(() => told.some(([event]) => event === 'lagging'), 'lagging');
  await until(() => told.some(([event]) => event === 'speech_ended'), 'speech ended');
  expect(heard()).toEqual(numbers(2 * RATE));
  // The first five seconds tell nothing.
  await until(() => talk.lateShare > 0.2, 'a share of late pictures');
  // Late, but not frozen: the mouth was open now and then.
  expect(stream.frames.some((level) => level > 0)).toBe(true);
  avatar.renderMilliseconds = 0;
  const { frames } = talk;
  await until(() => talk.frames > frames + 25 && stream.frames.slice(-3).every((level) => level === 0), 'caught up');
});

it('begins with its first picture, however long that takes, and can be interrupted before', async () => {
  begin();
  avatar.renderMilliseconds = 4000;
  await push(counting(0, 10 * RATE));
  await sleep(2000);
  expect(talk.frames).toBe(0);
  expect(await talk.interrupt()).toBeGreaterThan(5 * 16_000);
  avatar.renderMilliseconds = 0;
  await until(() => talk.frames > 30, 'going on');
  expect(stream.sound.length).toBe((stream.frames.length + 3) * SOUND_PER_FRAME);
  expect(stream.frames.slice(-10).every((level) => level === 0)).toBe(true);
});

it('gives an encoder that is far behind the same picture again, and says so; sound and clock go on', async () => {
  begin();
  await until(() => talk.frames > 5, 'idling');
  await push(counting(0, 3 * RATE));
  await talk.endUtterance();
  await until(() => (stream.frames.at(-1) ?? 0) > 0, 'speaking');
  const at = stream.frames.length;
  const picture = stream.frames[at - 1];
  stream.framesUnsettled = 101;
  await until(() => talk.frames > at + 20, 'going on');
  const repeated = stream.frames.slice(at, at + 20);
  stream.framesUnsettled = 100;
  expect(repeated).toEqual(Array.from({ length: 20 }, () => picture));
  await until(() => told.some(([event]) => event === 'lagging'), 'lagging');
  await until(() => told.some(([event]) => event === 'speech_ended'), 'speech ended');
  expect(heard()).toEqual(numbers(3 * RATE));
  expect(stream.frames.slice(-3)).toEqual([0, 0, 0]);
});

it('ends when all has been said', async () => {
  begin();
  await push(counting(0, RATE));
  await talk.finish();
  await talk.settled();
  expect(heard()).toEqual(numbers(RATE));
  await completed;
  expect(stream.frames.slice(-8).every((level) => level === 0)).toBe(true);
  const { frames } = talk;
  await sleep(200);
  expect(talk.frames).toBe(frames);
});

it('refuses what would wait for too long, and takes none of it', async () => {
  begin({ maxQueuedSeconds: 3 });
  // Alone it may be of any length.
  await push(counting(0, 4 * RATE));
  await expect(push(counting(0, 9600))).rejects.toMatchObject({ code: 'session_lagging' });
  expect(talk.bufferedSamples).toBeLessThanOrEqual(4 * 16_000);
});

it('a picture that cannot be drawn ends the talk', async () => {
  begin();
  await until(() => talk.frames > 5, 'idling');
  avatar.failure = new Error('out of ideas');
  await expect(completed).rejects.toThrow('out of ideas');
});

it('says once a second what was heard, and goes on at any frame', async () => {
  begin({ startFrame: 100_010 });
  await push(counting(0, RATE));
  await push(counting(RATE, 3 * RATE));
  await talk.endUtterance();
  await until(() => told.length === 2, 'speech ended');
  await until(() => talk.frames >= told[1]![1] + 30, 'some silence');
  expect(heard()).toEqual(numbers(3 * RATE));
  const start = told[0]![1];
  expect(start).toBeGreaterThanOrEqual(100_010);
  expect(shown.length).toBeGreaterThanOrEqual(3);
  for (const [frame, sound, seconds] of shown) {
    expect((frame - 100_010) % 25).toBe(0);
    const position = Math.max(0, Math.min(3, (frame - start) / 25));
    // The filters hold a few milliseconds of a sound back when the next one comes.
    expect(Math.abs((sound === 0 ? seconds : 1 + seconds) - position)).toBeLessThan(0.005);
  }
  // Nothing more to say, nothing more to note.
  expect(shown.at(-1)![0]).toBeLessThan(told[1]![1] + 25);
});

it('says anew what was heard before the segments of another FFmpeg, and of those that are shown already', async () => {
  begin({ startFrame: 1000 });
  await push(counting(0, 6 * RATE));
  await talk.endUtterance();
  await until(() => shown.length === 2, 'two segments');
  stream.framesStored = 1025;
  const before = shown.length;
  // It goes back to where the last part ended, far behind what is shown.
  stream.segmentsFrom = 1028;
  await until(() => shown.length === before + 3, 'segments of another FFmpeg');
  const [, start] = told[0]!;
  expect(shown.slice(before).map(([frame]) => frame)).toEqual([1028, 1053, 1078]);
  for (const [frame, sound, seconds] of shown) {
    expect(sound).toBe(0);
    expect(Math.abs(seconds - (frame - start) / 25)).toBeLessThan(0.005);
  }
});
