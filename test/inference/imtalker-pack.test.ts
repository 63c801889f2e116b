import { rm } from 'node:fs/promises';
import type { Avatar } from '../../src/avatar/engine.js';
import { toPlanes } from '../../src/avatar/image.js';
import { LocalEngine } from '../../src/avatar/local-engine.js';
import { normalNoise } from '../../src/avatar/noise.js';
import { ModelPack } from '../../src/inference/model-pack.js';
import { OnnxModel, type Tensor } from '../../src/inference/onnx-model.js';
import {
  IMTALKER_FRAME_SIDE,
  IMTALKER_SOURCE_SIDE,
  imtalkerGraph,
  makeImtalkerPack,
} from '../support/imtalker-pack.js';

// What the service relies on when it puts several sessions into one run. Equal means equal bytes, on a CPU: elsewhere
// the rounding of an item may depend on the size of its batch.

const FRAME_BYTES = (IMTALKER_FRAME_SIDE * IMTALKER_FRAME_SIDE * 3) / 2;
const [D, C, W, P] = [32, 32, 50, 10];
type Feeds = Record<string, Tensor>;

const load = (name: Parameters<typeof imtalkerGraph>[0]) =>
  OnnxModel.load(imtalkerGraph(name), { device: 'cpu', threads: 1 });

/** Numbers like noise, the same for the same seed. */
function noise(seed: number, ...dims: number[]): Tensor & { data: Float32Array } {
  const count = dims.reduce((product, size) => product * size, 1);
  return { data: Float32Array.from({ length: count }, (_, i) => normalNoise(seed, i, 0)), dims };
}

/** A picture as the source encoder takes it. */
function picture(paint: (x: number, y: number) => readonly [number, number, number]): Tensor {
  const side = IMTALKER_SOURCE_SIDE;
  const pixels = new Uint8Array(side * side * 3);
  for (let i = 0; i < side * side; i++) pixels.set(paint(i % side, Math.floor(i / side)), i * 3);
  return { data: toPlanes({ width: side, height: side, data: pixels }, 0, 1), dims: [1, 3, side, side] };
}

const PICTURES = [
  picture((x, y) => [x * 4, y * 4, (x * y) % 256]),
  picture((x, y) => [255 - y * 3, (x ^ y) * 4, x * 4]),
];

/** Tensors one behind the other along their first axis. */
function join(tensors: readonly Tensor[]): Tensor {
  const [{ data, dims }] = tensors as [Tensor];
  const joined = new (data.constructor as Float32ArrayConstructor)(data.length * tensors.length);
  for (const [i, tensor] of tensors.entries()) joined.set(tensor.data as Float32Array, i * data.length);
  return { data: joined, dims: [dims[0]! * tensors.length, ...dims.slice(1)] };
}

function largestDifference(a: Tensor, b: Tensor): number {
  expect(a.dims).toEqual(b.dims);
  return (a.data as Float32Array).reduce((most, value, i) => Math.max(most, Math.abs(value - Number(b.data[i]))), 0);
}

it('has the tensors of a full fp16 export, and passes the check of packs', async () => {
  const folder = await makeImtalkerPack();
  try {
    const pack = await ModelPack.read(folder);
    const identity = {
      identity_bias: 2,
      ...Object.fromEntries([8, 16, 32, 64].flatMap((side) => [`key_${side}`, `value_${side}`].map((n) => [n, 4]))),
      pooled_128: 3,
      pooled_256: 3,
    };
    const half = Object.entries(identity).map(([name, rank]) => [name, 'float16', rank]);
    const tensors: Record<string, OnnxModel['inputs']> = {};
    for (const name of ['source_encoder', 'audio_encoder', 'motion_generator', 'renderer'] as const) {
      const model = await OnnxModel.load(pack.graphPath(name), { device: 'cpu', threads: 1 });
      pack.check(name, model);
      tensors[`${name} in`] = model.inputs;
      tensors[`${name} out`] = model.outputs;
      await model.close();
    }
    const seen = (name: string) => tensors[name]!.map((tensor) => [tensor.name, tensor.type, tensor.shape.length]);
    expect(seen('source_encoder out')).toEqual([['motion_ref', 'float32', 2], ...half]);
    expect(seen('renderer in')).toEqual([['motion', 'float32', 2], ['source_index', 'int32', 1], ...half]);
    for (const { shape } of tensors['source_encoder out']!) expect(shape[0]).toBe(1);
    for (const { shape } of tensors['renderer in']!.slice(2)) expect(shape[0]).toBe('sessions');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

describe('renderer', () => {
  let renderer: OnnxModel;
  let identities: Feeds[];

  beforeAll(async () => {
    renderer = await load('renderer');
    const encoder = await load('source_encoder');
    identities = [];
    for (const image of PICTURES) {
      const { motion_ref: _, ...identity } = await encoder.run({ image });
      identities.push(identity);
    }
    await encoder.close();
  });

  afterAll(() => renderer?.close());

  /** Draws a frame per row of `motion`, of the session that `sources` names. */
  async function draw(motion: Tensor, sources: number[], sessions: Feeds[]): Promise<Buffer[]> {
    const names = Object.keys(sessions[0]!);
    const identity = Object.fromEntries(names.map((name) => [name, join(sessions.map((one) => one[name]!))]));
    const source_index = { data: Int32Array.from(sources), dims: [sources.length] };
    const { frames } = await renderer.run({ ...identity, motion, source_index });
    expect(frames!.dims).toEqual([sources.length, (IMTALKER_FRAME_SIDE * 3) / 2, IMTALKER_FRAME_SIDE]);
    return sources.map((_, i) => Buffer.from(frames!.data.slice(i * FRAME_BYTES, (i + 1) * FRAME_BYTES) as Uint8Array));
  }

  const row = (motion: Tensor, i: number): Tensor => ({
    data: (motion.data as Float32Array).slice(i * D, (i + 1) * D),
    dims: [1, D],
  });

  /** Bytes of two frames that differ. */
  const apart = (a: Buffer, b: Buffer) => a.reduce((count, byte, i) => count + Number(byte !== b[i]), 0);

  it.each([2, 4, 8, 16])('draws each of %i frames of two sessions as it draws it alone', async (count) => {
    const motion = noise(count, count, D);
    const sources = Array.from({ length: count }, (_, i) => i % 2);
    const together = await draw(motion, sources, identities);
    for (const [i, source] of sources.entries()) {
      const [alone] = await draw(row(motion, i), [0], [identities[source]!]);
      expect(together[i]!.equals(alone!)).toBe(true);
    }
  });

  it("draws two sessions' frames in one run as in a run for each", async () => {
    const motion = noise(5, 4, D);
    const together = await draw(motion, [0, 1, 0, 1], identities);
    for (const session of [0, 1]) {
      const own = [session, session + 2];
      const separate = await draw(join(own.map((i) => row(motion, i))), [0, 0], [identities[session]!]);
      for (const [k, i] of own.entries()) expect(together[i]!.equals(separate[k]!)).toBe(true);
    }
  });

  it('shows who it draws, and the motion', async () => {
    const motion = noise(6, 1, D);
    const other = noise(7, 1, D);
    const frames = await draw(join([motion, motion, other, other]), [0, 1, 0, 1], identities);
    for (const [a, b] of [
      [0, 1],
      [2, 3],
      [0, 2],
      [1, 3],
    ] as const) {
      expect(apart(frames[a]!, frames[b]!)).toBeGreaterThan(FRAME_BYTES / 4);
    }
  });

  it('takes every identity tensor from the session of the frame', async () => {
    const motion = noise(8, 1, D);
    const [own] = await draw(motion, [0], identities);
    for (const name of Object.keys(identities[0]!)) {
      const mixed = { ...identities[0], [name]: identities[1]![name]! };
      const [frame] = await draw(motion, [0], [mixed]);
      expect([name, frame!.equals(own!)]).toEqual([name, false]);
    }
  });
});

describe('audio encoder', () => {
  it('hears what comes before a frame', async () => {
    const encoder = await load('audio_encoder');
    const sound = noise(1, 1, 100 * 640);
    /** Features of the last 50 frames when the sound begins at frame `from`. */
    const encode = async (from: number): Promise<Tensor> => {
      const data = sound.data.slice(from * 640);
      const { features } = await encoder.run({ waveform: { data, dims: [1, data.length] } });
      expect(features!.dims).toEqual([1, 100 - from, C]);
      return { data: (features!.data as Float32Array).slice((50 - from) * C), dims: [50, C] };
    };
    const [all, enough, none] = [await encode(0), await encode(38), await encode(50)];
    await encoder.close();
    const frame = ({ data }: Tensor, i: number): Tensor => ({ data: data.slice(i * C, (i + 1) * C), dims: [C] });
    // Its reach is twelve frames. Not to the bit: how a convolution is blocked depends on the length.
    for (let i = 0; i < 50; i++) {
      expect(largestDifference(frame(enough, i), frame(all, i))).toBeLessThan(1e-4);
      const cut = largestDifference(frame(none, i), frame(all, i));
      if (i < 12) expect(cut).toBeGreaterThan(0.01);
      else expect(cut).toBeLessThan(1e-4);
    }
  });
});

describe('motion generator', () => {
  let generator: OnnxModel;
  beforeAll(async () => {
    generator = await load('motion_generator');
  });
  afterAll(() => generator?.close());

  const window = (seed: number): Feeds => ({
    x: noise(seed, 1, W, D),
    audio: noise(seed + 1, 1, W, C),
    prev_x: noise(seed + 2, 1, P, D),
    prev_audio: noise(seed + 3, 1, P, C),
    motion_ref: noise(seed + 4, 1, D),
    pose: noise(seed + 5, 1, W, 3),
    gaze: noise(seed + 6, 1, W, 2),
    prev_pose: noise(seed + 7, 1, P, 3),
    prev_gaze: noise(seed + 8, 1, P, 2),
  });
  const at = (t: number, guidance: number): Feeds => ({
    t: { data: Float32Array.of(t), dims: [1] },
    guidance: { data: Float32Array.of(guidance), dims: [1] },
  });
  const velocity = async (feeds: Feeds) => (await generator.run(feeds)).velocity!;

  it('depends on every input', async () => {
    const feeds = { ...window(10), ...at(0.3, 2) };
    const before = await velocity(feeds);
    const others: Feeds = { ...window(30), ...at(0.6, 3) };
    for (const [name, tensor] of Object.entries(others)) {
      const after = await velocity({ ...feeds, [name]: tensor });
      expect([name, largestDifference(before, after) > 1e-3]).toEqual([name, true]);
    }
  });

  it('guides away from what silence would give', async () => {
    const feeds = window(50);
    const silence = { ...feeds, audio: { data: new Float32Array(W * C), dims: [1, W, C] } };
    const [unguided, once, thrice] = [
      await velocity({ ...feeds, ...at(0.5, 0) }),
      await velocity({ ...feeds, ...at(0.5, 1) }),
      await velocity({ ...feeds, ...at(0.5, 3) }),
    ];
    expect(largestDifference(unguided, await velocity({ ...silence, ...at(0.5, 1) }))).toBe(0);
    const numbers = (tensor: Tensor) => tensor.data as Float32Array;
    const data = numbers(unguided).map((u, i) => u + 3 * (numbers(once)[i]! - u));
    expect(largestDifference(thrice, { data, dims: [1, W, D] })).toBeLessThan(1e-4);
    expect(largestDifference(thrice, once)).toBeGreaterThan(0.1);
  });

  it('gives each session of a batch what it gives it alone', async () => {
    const windows = [window(70), window(90), window(110)];
    const joined = Object.fromEntries(
      Object.keys(windows[0]!).map((name) => [name, join(windows.map((one) => one[name]!))]),
    );
    const together = await velocity({ ...joined, ...at(0.2, 3) });
    const alone = await Promise.all(windows.map((one) => velocity({ ...one, ...at(0.2, 3) })));
    expect(largestDifference(together, join(alone))).toBe(0);
  });
});

describe('engine', () => {
  const FRAMES = 30;
  let folder: string;
  let engine: LocalEngine;

  beforeAll(async () => {
    folder = await makeImtalkerPack();
    engine = await LocalEngine.load(await ModelPack.read(folder), { device: 'cpu', batchFrames: 8 });
  });

  afterAll(async () => {
    await engine?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** A portrait without a face. */
  const stripes = (period: number) => {
    const data = Uint8Array.from({ length: 96 * 96 * 3 }, (_, i) => (Math.floor(i / period) * 37) % 256);
    return { width: 96, height: 96, data };
  };

  const open = (period: number, seed: number) =>
    engine.open(stripes(period), { crop: false, seed, nfe: 5, cfgScale: 2 });

  /** A talk of two windows, the second one heard with context; its frames are asked for one by one, all at once. */
  async function talk(avatar: Avatar): Promise<Buffer> {
    const { data: sound } = noise(1, FRAMES * 640);
    const frames: Promise<Uint8Array>[] = [];
    for (const [startFrame, count, contextFrames] of [
      [0, 20, 0],
      [20, 10, 20],
    ] as const) {
      const waveform = sound.slice((startFrame - contextFrames) * 640, (startFrame + count) * 640);
      const window = { startFrame, frames: count, overlapFrames: 0, contextFrames, waveform };
      const { tokens } = await avatar.generateMotion(window, startFrame);
      for (let i = 0; i < count; i++) {
        const motion = { startFrame: startFrame + i, frames: 1, tokens: tokens.slice(i * D, (i + 1) * D) };
        frames.push(avatar.render(motion, startFrame + i));
      }
    }
    const drawn = Buffer.concat(await Promise.all(frames));
    await avatar.close();
    expect(drawn.length).toBe(FRAMES * FRAME_BYTES);
    return drawn;
  }

  it('draws the same talk alone and beside other sessions', async () => {
    const [first, second] = [await talk(await open(5, 7)), await talk(await open(11, 7))];
    const run = jest.spyOn(OnnxModel.prototype, 'run');
    const together = await Promise.all([await open(5, 7), await open(11, 7), await open(5, 8)].map(talk));
    const sessions = run.mock.calls.map(([{ source_index }]) => new Set(source_index?.data as Int32Array).size);
    run.mockRestore();
    expect(Math.max(...sessions)).toBeGreaterThan(1);
    expect(together[0]!.equals(first)).toBe(true);
    expect(together[1]!.equals(second)).toBe(true);
    // Portrait, seed and motion are all to be seen, or the two lines above would say little.
    for (let frame = 0; frame < FRAMES; frame++) {
      const [one, other, reseeded] = together.map((t) => t.subarray(frame * FRAME_BYTES, (frame + 1) * FRAME_BYTES));
      expect(one!.equals(other!)).toBe(false);
      expect(one!.equals(reseeded!)).toBe(false);
      if (frame > 0) expect(one!.equals(first.subarray((frame - 1) * FRAME_BYTES, frame * FRAME_BYTES))).toBe(false);
    }
  });
});
