import { resolve } from 'node:path';
import type { Motion } from '../../src/avatar/engine.js';
import { LocalEngine } from '../../src/avatar/local-engine.js';
import { now } from '../../src/clock.js';
import { ModelPack } from '../../src/inference/model-pack.js';
import { paint } from './portrait-analyser-source.js';

const options = { crop: false, seed: 1, nfe: 5, cfgScale: 1 };
const portrait = paint(() => [150, 150, 150]);
let engine: LocalEngine;
let frame: Motion;

beforeAll(async () => {
  const pack = await ModelPack.read(resolve(__dirname, '../../models/portrait'));
  engine = await LocalEngine.load(pack, { device: 'cpu', batchFrames: 5 });
  frame = { startFrame: 0, frames: 1, tokens: new Float32Array(pack.facts.motion.tokens) };
});

afterAll(() => engine?.close());

it('serves the calls of all sessions by their deadlines', async () => {
  const [first, second] = [await engine.open(portrait, options), await engine.open(portrait, options)];
  const order: string[] = [];
  const window = { startFrame: 0, frames: 8, overlapFrames: 2, contextFrames: 0, waveform: new Float32Array(8 * 640) };
  await Promise.all([
    first.render(frame, now() + 9000).then(() => order.push('first 9')),
    ...[3, 2, 4].map((n) => first.generateMotion(window, now() + n * 1000).then(() => order.push(`first ${n}`))),
    second.render(frame, now() + 1000).then(() => order.push('second 1')),
  ]);
  expect(order).toEqual(['second 1', 'first 2', 'first 3', 'first 4', 'first 9']);
  await first.close();
  await second.close();
});

it('draws frames of other sessions while it opens one', async () => {
  const speaking = await engine.open(portrait, options);
  let opened = false;
  const opening = engine.open(portrait, options).finally(() => {
    opened = true;
  });
  let frames = 0;
  while (!opened) {
    await speaking.render(frame, now());
    frames++;
  }
  // One between any two of its parts: the face, the crop, and seven of the analysis.
  expect(frames).toBeGreaterThanOrEqual(8);
  await (await opening).close();
  await speaking.close();
});
