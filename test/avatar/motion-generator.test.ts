import { AudioEncoder } from '../../src/avatar/audio-encoder.js';
import type { Motion, MotionWindow } from '../../src/avatar/engine.js';
import { FlowSampler } from '../../src/avatar/flow-sampler.js';
import { crossFade, MotionGenerator } from '../../src/avatar/motion-generator.js';
import { MotionStation } from '../../src/avatar/motion-station.js';
import { normalNoise } from '../../src/avatar/noise.js';
import type { OnnxModel, Tensor } from '../../src/inference/onnx-model.js';

const D = 2;
const C = 1;
const P = 3;

type Run = (feeds: Record<string, Tensor>) => Record<string, Tensor>;
const model = (run: Run) =>
  ({ inputs: [], run: async (feeds: Record<string, Tensor>) => run(feeds) }) as unknown as OnnxModel;

/** One feature a frame: the frame's first sample. */
const audioEncoder = model(({ waveform }) => {
  const frames = waveform!.data.length / 640;
  const data = Float32Array.from({ length: frames }, (_, i) => Number(waveform!.data[i * 640]));
  return { features: { data, dims: [1, frames, 1] } };
});

/** A field that leads in a straight line from the noise to `[feature, 10 * feature]`, and notes what it was given. */
function straightField(calls: Record<string, Tensor>[]): OnnxModel {
  let start: Float32Array;
  return model((feeds) => {
    const x = feeds.x!.data as Float32Array;
    const t = Number(feeds.t!.data[0]);
    if (t === 0) start = x.slice();
    // The generator goes on writing into these arrays.
    calls.push(
      Object.fromEntries(Object.entries(feeds).map(([name, { data, dims }]) => [name, { data: data.slice(), dims }])),
    );
    const velocity = x.map((_, i) => Number(feeds.audio!.data[Math.floor(i / D)]) * (i % D === 0 ? 1 : 10) - start[i]!);
    return { velocity: { data: velocity, dims: feeds.x!.dims } };
  });
}

type Generate = (window: MotionWindow) => Promise<Motion>;

/** One session's generator over a field. */
function session(field: OnnxModel, window: number | null = null, style = {}): Generate {
  const sizes = { tokens: D, features: C, context: P, window };
  const generator = new MotionGenerator(sizes, { seed: 5, nfe: 5, cfgScale: 2, ...style }, new Float32Array(D));
  const station = new MotionStation(new AudioEncoder(audioEncoder, 'none'), new FlowSampler(field), [1]);
  return async (window) => (await station.run([{ generator, window }]))[0]!;
}

function generator(calls: Record<string, Tensor>[], window: number | null = null): Generate {
  return session(straightField(calls), window, { poseStyle: [0.1, 0.2, 0.3] });
}

function speech(startFrame: number, frames: number, overlapFrames: number, contextFrames = 0): MotionWindow {
  const waveform = new Float32Array((contextFrames + frames) * 640);
  for (let i = 0; i < contextFrames + frames; i++) waveform[i * 640] = startFrame - contextFrames + i + 1;
  return { startFrame, frames, overlapFrames, contextFrames, waveform };
}

it('takes nfe - 1 Euler steps over linspace(0, 1, nfe) and lands where a straight field leads', async () => {
  const calls: Record<string, Tensor>[] = [];
  const motion = await generator(calls)(speech(0, 4, 0, 2));
  expect(calls.map(({ t }) => Number(t!.data[0]))).toEqual([0, 0.25, 0.5, 0.75]);
  expect(motion).toMatchObject({ startFrame: 0, frames: 4 });
  [1, 10, 2, 20, 3, 30, 4, 40].forEach((value, i) => {
    expect(motion.tokens[i]).toBeCloseTo(value, 4);
  });
});

it('starts from noise that belongs to the frame, not to the window', async () => {
  const seen: number[] = [];
  const field = model((feeds) => {
    if (Number(feeds.t!.data[0]) === 0) seen.push(Number(feeds.x!.data[0]));
    return { velocity: { data: new Float32Array(feeds.x!.data.length), dims: feeds.x!.dims } };
  });
  const generate = session(field);
  await generate(speech(0, 4, 1));
  await generate(speech(3, 4, 0));
  expect(seen).toEqual([normalNoise(5, 0, 0), normalNoise(5, 3, 0)].map(Math.fround));
});

it('hands the frames before the window to the generator as context, and the style with them', async () => {
  const calls: Record<string, Tensor>[] = [];
  const generate = generator(calls);
  await generate(speech(0, 3, 1));
  await generate(speech(2, 3, 0));
  const first = calls[0]!;
  const second = calls[4]!;
  expect([...first.prev_x!.data]).toEqual([0, 0, 0, 0, 0, 0]);
  expect([...first.prev_pose!.data]).toEqual(new Array(9).fill(0));
  [0, 0, 1, 10, 2, 20].forEach((value, i) => {
    expect(second.prev_x!.data[i]).toBeCloseTo(value, 4);
  });
  expect([...second.prev_audio!.data]).toEqual([0, 1, 2]);
  expect([...second.prev_pose!.data].slice(0, 4)).toEqual([0, 0, 0, Math.fround(0.1)]);
});

it('cuts into pieces of a fixed window and repeats the last frame of a short one', async () => {
  const calls: Record<string, Tensor>[] = [];
  const motion = await generator(calls, 3)(speech(0, 5, 0));
  expect(calls).toHaveLength(8);
  expect([...calls[4]!.audio!.data]).toEqual([4, 5, 5]);
  // The second piece has the first behind it, with its style.
  expect([...calls[4]!.prev_pose!.data].filter((value) => value === 0)).toEqual([]);
  [1, 10, 2, 20, 3, 30, 4, 40, 5, 50].forEach((value, i) => {
    expect(motion.tokens[i]).toBeCloseTo(value, 4);
  });
});

it('goes back over final frames: what came after is forgotten, and the new motion takes over from it', async () => {
  const calls: Record<string, Tensor>[] = [];
  const generate = generator(calls);
  await generate(speech(0, 6, 1));
  await generate(speech(5, 6, 1));
  // Ten frames are final; from the fifth on all is to be 0 in place of [feature, 10 * feature].
  const silence = { ...speech(4, 8, 1), waveform: new Float32Array(8 * 640) };
  const again = await generate(silence);
  expect(again).toMatchObject({ startFrame: 4, frames: 7 });
  [0.75 * 5, 7.5 * 5, 0.5 * 6, 5 * 6, 0.25 * 7, 2.5 * 7, 0, 0, 0, 0].forEach((value, i) => {
    expect(again.tokens[i]).toBeCloseTo(value, 4);
  });
  const rewound = calls[8]!;
  [2, 20, 3, 30, 4, 40].forEach((value, i) => {
    expect(rewound.prev_x!.data[i]).toBeCloseTo(value, 4);
  });
  expect([...rewound.prev_audio!.data]).toEqual([2, 3, 4]);
  // And on from there.
  expect(await generate(speech(11, 4, 0))).toMatchObject({ startFrame: 11, frames: 4 });
  expect([...calls[12]!.prev_audio!.data]).toEqual([0, 0, 0]);
});

it('begins anew where it goes back further than it remembers, and behind a gap', async () => {
  const calls: Record<string, Tensor>[] = [];
  const generate = generator(calls);
  for (let start = 40; start < 140; start += 20) await generate(speech(start, 20, 0));
  await generate(speech(65, 4, 0));
  expect([...calls.at(-1)!.prev_audio!.data]).toEqual([63, 64, 65]);
  await generate(speech(50, 4, 0));
  for (const start of [39, 20, 30]) {
    const again = await generate(speech(start, 4, 0));
    expect(again.tokens[0]).toBeCloseTo(start + 1, 4);
    expect([...calls.at(-1)!.prev_audio!.data]).toEqual([0, 0, 0]);
  }
});

it('cross-fades with weights that rise from the old window to the new', () => {
  const current = Float32Array.of(8, 8, 8, 8);
  crossFade(current, Float32Array.of(0, 0, 0), 1);
  expect([...current]).toEqual([2, 4, 6, 8]);
});
