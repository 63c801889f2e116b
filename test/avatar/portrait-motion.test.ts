import { resolve } from 'node:path';
import { AudioChunkBuffer } from '../../src/audio/audio-chunk-buffer.js';
import { AudioEncoder } from '../../src/avatar/audio-encoder.js';
import { MOST_REWOUND_FRAMES, type MotionParameters } from '../../src/avatar/engine.js';
import { FlowSampler } from '../../src/avatar/flow-sampler.js';
import { MotionGenerator } from '../../src/avatar/motion-generator.js';
import { MotionStation } from '../../src/avatar/motion-station.js';
import { ModelPack } from '../../src/inference/model-pack.js';
import { OnnxModel } from '../../src/inference/onnx-model.js';
import { pcm } from '../support/media.js';
import { sampleSpeech } from '../support/service.js';

// The portrait pack's two audio graphs as they are shipped, on the sample recording.

const D = 31;
const OPEN = 1;
const GAZE_X = 24;
const PITCH = 26;

let pack: ModelPack;
let audioEncoder: OnnxModel;
let field: OnnxModel;
let speech: Float32Array;

beforeAll(async () => {
  pack = await ModelPack.read(resolve(__dirname, '../../models/portrait'));
  const load = (name: 'audio_encoder' | 'motion_generator') =>
    OnnxModel.load(pack.graphPath(name), { device: 'cpu', threads: 1 });
  audioEncoder = await load('audio_encoder');
  field = await load('motion_generator');
  const bytes = await pcm(sampleSpeech, 16000, 4);
  speech = Float32Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readInt16LE(2 * i) / 32768);
});

afterAll(async () => {
  await audioEncoder.close();
  await field.close();
});

/** Unscaled motion tokens `[frames][31]` of one window. */
async function motionOf(waveform: Float32Array, parameters: Partial<MotionParameters> = {}): Promise<number[][]> {
  const { motion, audio } = pack.facts;
  const sizes = {
    tokens: motion.tokens,
    features: audio.features,
    context: motion.context,
    window: motion.window,
  };
  const generator = new MotionGenerator(sizes, { seed: 3, nfe: 10, cfgScale: 2, ...parameters }, new Float32Array(D));
  const station = new MotionStation(new AudioEncoder(audioEncoder, audio.normalisation), new FlowSampler(field), [1]);
  const frames = waveform.length / 640;
  const window = { startFrame: 0, frames, overlapFrames: 0, contextFrames: 0, waveform };
  const { tokens } = (await station.run([{ generator, window }]))[0]!;
  return Array.from({ length: frames }, (_, f) =>
    Array.from({ length: D }, (_, d) => tokens[f * D + d]! / motion.token_scale![d]!),
  );
}

it('opens and closes the mouth with the sample speech, and keeps it shut in silence', async () => {
  const spoken = (await motionOf(speech.subarray(0, 50 * 640))).map((token) => token[OPEN]!);
  expect(Math.max(...spoken)).toBeGreaterThan(0.25);
  expect(Math.min(...spoken)).toBeLessThan(0.1);
  const silent = (await motionOf(new Float32Array(50 * 640))).map((token) => token[OPEN]!);
  expect(silent.reduce((sum, x) => sum + Math.abs(x), 0) / silent.length).toBeLessThan(0.05);
});

it('adds pose_style and gaze_style exactly, and nothing else', async () => {
  const window = speech.subarray(0, 25 * 640);
  const plain = await motionOf(window);
  const styled = await motionOf(window, { poseStyle: [0.1, 0.2, -0.05], gazeStyle: [0.5, -0.3] });
  const style = new Array<number>(D).fill(0);
  [0.5, -0.3, 0.1, 0.2, -0.05].forEach((value, i) => {
    style[[GAZE_X, GAZE_X + 1, PITCH, PITCH + 1, PITCH + 2][i]!] = value;
  });
  styled.forEach((tokens, frame) => {
    tokens.forEach((value, d) => {
      expect(value - plain[frame]![d]!).toBeCloseTo(style[d]!, 2);
    });
  });
});

it('speaks the same words whatever the seed, and articulates with guidance', async () => {
  const window = speech.subarray(0, 75 * 640);
  const open = async (parameters: Partial<MotionParameters>) =>
    (await motionOf(window, parameters)).map((token) => token[OPEN]!);
  const [one, other, faint] = [await open({ seed: 1 }), await open({ seed: 2 }), await open({ cfgScale: 1 })];
  expect(correlation(one, other)).toBeGreaterThan(0.7);
  expect(one).not.toEqual(other);
  expect(deviation(one)).toBeGreaterThan(deviation(faint));
});

it('hears the same at the seams of windows as in the whole recording', async () => {
  const features = async (from: number, to: number) => {
    const data = speech.slice(from * 640, to * 640);
    const result = await audioEncoder.run({ waveform: { data, dims: [1, data.length] } });
    return result.features!.data as Float32Array;
  };
  const C = pack.facts.audio.features;
  const context = pack.facts.audio.context_frames;
  const whole = await features(0, 100);
  const [start, frames, overlap] = [40, 25, 5];
  const window = await features(start - context, start + frames);
  for (let frame = 0; frame < frames - overlap; frame++) {
    for (let c = 0; c < C; c++) {
      expect(Math.abs(window[(context + frame) * C + c]! - whole[(start + frame) * C + c]!)).toBeLessThan(1e-3);
    }
  }
});

it('an interruption closes the mouth within three frames, wherever it comes', async () => {
  const { motion, audio } = pack.facts;
  const sizes = { tokens: motion.tokens, features: audio.features, context: motion.context, window: motion.window };
  const station = new MotionStation(new AudioEncoder(audioEncoder, audio.normalisation), new FlowSampler(field), [1]);
  const widest: number[] = [];
  for (let interrupted = 20; interrupted < 75; interrupted += 5) {
    const generator = new MotionGenerator(sizes, { seed: 3, nfe: 10, cfgScale: 2 }, new Float32Array(D));
    const windows = new AudioChunkBuffer({
      chunkDurationSeconds: 0.4,
      contextFrames: audio.context_frames,
      liveFrames: MOST_REWOUND_FRAMES,
    });
    const openings: number[] = [];
    const make = async () => {
      for (let window = windows.next(); window; window = windows.next()) {
        const { startFrame, frames, tokens } = (await station.run([{ generator, window }]))[0]!;
        for (let f = 0; f < frames; f++) openings[startFrame + f] = tokens[f * D + OPEN]! / motion.token_scale![OPEN]!;
      }
    };
    windows.push(speech.subarray(0, (interrupted + 20) * 640));
    await make();
    windows.rewind(interrupted, interrupted, 160);
    windows.push(new Float32Array(26 * 640 - 160));
    await make();
    widest.push(Math.max(...openings.slice(interrupted + 3, interrupted + 18)));
  }
  expect(Math.max(...widest)).toBeLessThan(0.1);
});

function mean(values: number[]): number {
  return values.reduce((sum, x) => sum + x, 0) / values.length;
}

function deviation(values: number[]): number {
  return Math.sqrt(mean(values.map((x) => (x - mean(values)) ** 2)));
}

function correlation(a: number[], b: number[]): number {
  return mean(a.map((x, i) => (x - mean(a)) * (b[i]! - mean(b)))) / (deviation(a) * deviation(b));
}
