// The pack under test, driven as the service drives it.
import { join, resolve } from 'node:path';
import { checkTokens, curve, pose, TOKENS } from './tokens.mjs';

const dist = resolve(import.meta.dirname, '../../dist');
/** What a session has when the client asks for nothing else. */
export const DEFAULTS = { crop: true, seed: 42, nfe: 10, cfgScale: 2 };

export class Subject {
  #engine;
  #modules;

  constructor(pack, engine, faces, modules) {
    this.pack = pack;
    this.faces = faces;
    this.scale = pack.facts.motion.token_scale;
    this.#engine = engine;
    this.#modules = modules;
  }

  static async load(folder) {
    // As the service does.
    process.env.ORT_DISABLE_TELEMETRY ??= '1';
    const modules = Object.assign(
      {},
      ...(await Promise.all(
        [
          'avatar/local-engine.js',
          'avatar/face.js',
          'avatar/face-mesh.js',
          'avatar/portrait.js',
          'avatar/crop.js',
          'inference/model-pack.js',
          'audio/audio-chunk-buffer.js',
        ].map((path) => import(join(dist, path))),
      )),
    );
    const pack = await modules.ModelPack.read(resolve(folder));
    checkTokens(pack.facts);
    const engine = await modules.LocalEngine.load(pack, { device: 'cpu', batchFrames: 5 });
    const [detector, mesh] = [pack.graphPath('face_detector'), pack.graphPath('face_mesh')];
    const faces = {
      analyser: await modules.FaceAnalyser.load({ detector, mesh }, { threads: 1 }),
      mesh: await modules.FaceMesh.load(mesh, 1),
    };
    return new Subject(pack, engine, faces, modules);
  }

  get size() {
    const { width, height } = this.#engine.description;
    return { width, height };
  }

  /** A picture file as pixels. */
  decode(bytes) {
    return this.#modules.decodePortrait(bytes);
  }

  /** The square of the portrait that the pack animates, or undefined where it shows no face. */
  async source(portrait) {
    const [face] = await this.faces.analyser.analyse(portrait);
    const { size, crop_scale: scale } = this.pack.facts.source;
    return face && this.#modules.cropToFace(portrait, face, { size, crop: true, scale });
  }

  open(portrait, options = {}) {
    return this.#engine.open(portrait, { ...DEFAULTS, ...options });
  }

  /** Motion tokens of a whole recording, `[frames, D]`, window by window. */
  async listen(avatar, wave, onWindow = () => {}) {
    const windows = new this.#modules.AudioChunkBuffer({
      chunkDurationSeconds: 1,
      contextFrames: this.#engine.description.contextFrames,
    });
    windows.push(wave);
    windows.finish();
    const parts = [];
    for (let window = windows.next(); window; window = windows.next()) {
      const motion = await avatar.generateMotion(window, 0);
      parts.push(motion.tokens);
      await onWindow(motion);
    }
    return Float32Array.from(parts.flatMap((part) => [...part]));
  }

  /** I420 frames of tokens `[frames, D]`, one after another. */
  async *draw(avatar, tokens) {
    const D = TOKENS.length;
    const { width, height } = this.size;
    const length = (width * height * 3) / 2;
    for (let at = 0; at < tokens.length; at += 25 * D) {
      const piece = tokens.slice(at, at + 25 * D);
      const frames = piece.length / D;
      const drawn = await avatar.render({ startFrame: at / D, frames, tokens: piece }, 0);
      for (let i = 0; i < frames; i++) yield drawn.subarray(i * length, (i + 1) * length);
    }
  }

  /** The frame of a pose given by the names of its tokens. */
  async drawPose(avatar, values) {
    for await (const frame of this.draw(avatar, pose(values, this.scale))) return frame;
  }

  curve(tokens, name) {
    return curve(tokens, this.scale, name);
  }

  async close() {
    await this.#engine.close();
    await this.faces.analyser.close();
    await this.faces.mesh.close();
  }
}
