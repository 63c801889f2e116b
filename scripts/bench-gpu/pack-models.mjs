// A pack's graphs on a device, and tensors to feed them with.
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const { ModelPack } = await import(join(root, 'dist/inference/model-pack.js'));
const { OnnxModel } = await import(join(root, 'dist/inference/onnx-model.js'));

/** Inputs of the renderer that are not identity tensors. */
const PER_FRAME = ['motion', 'source_index'];

/**
 * Loads the four graphs that a session needs.
 * @returns them, and one session's `motion_ref` and identity tensors
 * @throws Error with the way out where the device is a GPU that does not work
 */
export async function loadPack(directory, { device, threads }) {
  const pack = await ModelPack.read(directory);
  if (!pack.facts.graphs.source_encoder) {
    throw new Error(`${directory}: only packs with a source_encoder graph are measured here; see npm run bench.`);
  }
  const models = {};
  for (const name of ['source_encoder', 'audio_encoder', 'motion_generator', 'renderer']) {
    try {
      models[name] = await OnnxModel.load(pack.graphPath(name), { device, threads });
    } catch (error) {
      if (device !== 'cuda') throw error;
      throw new Error(
        `CUDA is not usable here: ${error.message}\nRun "npm run setup:cuda", which says what is missing.`,
      );
    }
    pack.check(name, models[name]);
  }
  const { size } = pack.facts.source;
  const image = { data: new Float32Array(3 * size * size).map(() => Math.random()), dims: [1, 3, size, size] };
  const { motion_ref, ...outputs } = await models.source_encoder.run({ image });
  const wanted = models.renderer.inputs.map(({ name }) => name).filter((name) => !PER_FRAME.includes(name));
  const identity = Object.fromEntries(wanted.map((name) => [name, outputs[name]]));
  return { facts: pack.facts, models, motionRef: motion_ref, identity };
}

/** Whether the renderer draws frames of several sessions in one run. */
export function takesSeveralSessions({ models }) {
  return models.renderer.inputs.some(({ name }) => name === 'source_index');
}

/** One run of the renderer: `frames` frames of `sessions` sessions. */
export function rendererFeeds({ models, facts, motionRef, identity }, frames, sessions) {
  const D = facts.motion.tokens;
  const motion = new Float32Array(frames * D).map((_, i) => motionRef.data[i % D] + Math.random() - 0.5);
  const feeds = { motion: { data: motion, dims: [frames, D] } };
  for (const [name, tensor] of Object.entries(identity)) feeds[name] = repeatRows(tensor, sessions);
  if (takesSeveralSessions({ models })) {
    // Frames of one session lie together, as the service puts them.
    const index = Int32Array.from({ length: frames }, (_, i) => Math.floor((i * sessions) / frames));
    feeds.source_index = { data: index, dims: [frames] };
  }
  return feeds;
}

/** `tensor [1, ...]` -> `[times, ...]`. */
function repeatRows(tensor, times) {
  if (times === 1) return tensor;
  const { data, dims } = tensor;
  const rows = new data.constructor(data.length * times);
  for (let i = 0; i < times; i++) rows.set(data, i * data.length);
  return { ...tensor, data: rows, dims: [times, ...dims.slice(1)] };
}

/** One evaluation of the motion generator for `windows` windows of W frames. */
export function generatorFeeds({ models, facts }, windows) {
  const { tokens: D, window, context: P } = facts.motion;
  const { features: C } = facts.audio;
  const W = window ?? facts.fps;
  const shapes = {
    t: [1],
    x: [windows, W, D],
    audio: [windows, W, C],
    prev_x: [windows, P, D],
    prev_audio: [windows, P, C],
    motion_ref: [windows, D],
    pose: [windows, W, 3],
    gaze: [windows, W, 2],
    prev_pose: [windows, P, 3],
    prev_gaze: [windows, P, 2],
    guidance: [1],
  };
  return Object.fromEntries(
    models.motion_generator.inputs.map(({ name }) => [
      name,
      random(shapes[name], name === 'guidance' ? [2, 2] : [0, 1]),
    ]),
  );
}

/** One run of the audio encoder: `windows` waveforms of so many frames. */
export function audioFeeds({ facts }, windows, frames) {
  return { waveform: random([windows, (frames * 16000) / facts.fps], [-1, 1]) };
}

/** Whether a graph's input takes `batch` in its first axis. */
export function takesBatch(model, input, batch) {
  const [first] = model.inputs.find(({ name }) => name === input).shape;
  return typeof first === 'string' || first === batch;
}

function random(dims, [low, high]) {
  const length = dims.reduce((product, size) => product * size, 1);
  return { data: new Float32Array(length).map(() => low + (high - low) * Math.random()), dims };
}

/** Bytes of all tensors together. */
export function bytesOf(tensors) {
  return Object.values(tensors).reduce((sum, { data }) => sum + data.byteLength, 0);
}
