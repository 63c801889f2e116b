import { AppError } from '../errors.js';
import type { ModelPack } from '../inference/model-pack.js';
import { type Device, OnnxModel } from '../inference/onnx-model.js';
import { cropToFace, type SourceImage } from './crop.js';
import type {
  Avatar,
  AvatarEngine,
  AvatarOptions,
  EngineDescription,
  Motion,
  MotionParameters,
  MotionWindow,
} from './engine.js';
import { FaceAnalyser } from './face.js';
import { type RgbImage, toPlanes } from './image.js';
import { MotionGenerator, type MotionModels } from './motion-generator.js';
import { analysePortrait } from './portrait-analyser/analyser.js';
import { type IdentityTensors, Renderer } from './renderer.js';

interface Models extends MotionModels {
  readonly faceAnalyser: FaceAnalyser;
  readonly sourceEncoder: OnnxModel | undefined;
  readonly renderer: OnnxModel;
}

/** An engine that runs a model pack's graphs in the calling thread, which is therefore never the one serving HTTP. */
export class LocalEngine implements AvatarEngine {
  readonly description: EngineDescription;
  readonly #pack: ModelPack;
  readonly #models: Models;

  private constructor(pack: ModelPack, models: Models, device: Device) {
    this.#pack = pack;
    this.#models = models;
    this.description = {
      pack: pack.facts.name,
      device,
      deviceReason: 'asked for',
      fps: pack.facts.fps,
      width: pack.facts.frame.width,
      height: pack.facts.frame.height,
      contextFrames: pack.facts.audio.context_frames,
    };
  }

  /**
   * Loads the pack's graphs, compares them with the contract, and warms them up: after this the first frame takes as
   * long as any other.
   * @throws Error saying which graph does not fit or does not run.
   */
  static async load(pack: ModelPack, device: Device): Promise<LocalEngine> {
    const load = (name: Parameters<ModelPack['graphPath']>[0]) =>
      OnnxModel.load(pack.graphPath(name), { device, threads: 1 });
    const models: Models = {
      faceAnalyser: await FaceAnalyser.load(
        { detector: pack.graphPath('face_detector'), mesh: pack.graphPath('face_mesh') },
        { threads: 1 },
      ),
      sourceEncoder: pack.facts.graphs.source_encoder ? await load('source_encoder') : undefined,
      audioEncoder: await load('audio_encoder'),
      motionGenerator: await load('motion_generator'),
      renderer: await load('renderer'),
    };
    if (models.sourceEncoder) pack.check('source_encoder', models.sourceEncoder);
    pack.check('audio_encoder', models.audioEncoder);
    pack.check('motion_generator', models.motionGenerator);
    pack.check('renderer', models.renderer);
    const engine = new LocalEngine(pack, models, device);
    await engine.#warmUp();
    return engine;
  }

  get ready(): boolean {
    return true;
  }

  async open(portrait: RgbImage, options: AvatarOptions): Promise<Avatar> {
    const { facts } = this.#pack;
    const [face] = await this.#models.faceAnalyser.analyse(portrait);
    if (!face && options.crop) {
      throw new AppError(
        'face_not_found',
        'image: no face was found. Send a picture with a face looking at the camera, or crop=false to animate the centre of the picture.',
      );
    }
    const source = cropToFace(portrait, face, {
      size: facts.source.size,
      crop: options.crop,
      scale: facts.source.crop_scale,
    });
    const { reference, identity } = await this.#encodeSource(source);
    const { motion, audio } = facts;
    const sizes = {
      tokens: motion.tokens,
      features: audio.features,
      context: motion.context,
      window: motion.window,
      normalisation: audio.normalisation,
    };
    const warnings = source.assumed ? ['image: no face was found; one in the centre of the picture is assumed.'] : [];
    const parameters = limitPose(options, motion.pose_limit, warnings);
    return new LocalAvatar(
      warnings,
      new MotionGenerator(this.#models, sizes, parameters, reference),
      new Renderer(this.#models.renderer, identity),
    );
  }

  async close(): Promise<void> {
    const { faceAnalyser, sourceEncoder, audioEncoder, motionGenerator, renderer } = this.#models;
    for (const model of [renderer, motionGenerator, audioEncoder, sourceEncoder, faceAnalyser]) await model?.close();
  }

  async #encodeSource(source: SourceImage): Promise<{ reference: Float32Array; identity: IdentityTensors }> {
    const encoder = this.#models.sourceEncoder;
    const { motion_ref, ...identity } = encoder
      ? await encoder.run({
          image: { data: toPlanes(source.image, 0, 1), dims: [1, 3, source.image.height, source.image.width] },
        })
      : analysePortrait(source);
    return { reference: motion_ref!.data as Float32Array, identity };
  }

  /** A second of silence on a grey picture, through every graph. */
  async #warmUp(): Promise<void> {
    const { size } = this.#pack.facts.source;
    const grey = { width: size, height: size, data: new Uint8Array(size * size * 3).fill(128) };
    const avatar = await this.open(grey, { crop: false, seed: 0, nfe: 5, cfgScale: 1 });
    const contextFrames = this.description.contextFrames;
    const frames = this.#pack.facts.fps;
    const waveform = new Float32Array(((contextFrames + frames) * 16000) / this.#pack.facts.fps);
    const motion = await avatar.generateMotion({
      startFrame: 0,
      frames,
      overlapFrames: 0,
      contextFrames,
      waveform,
    });
    const D = this.#pack.facts.motion.tokens;
    await avatar.render({ startFrame: 0, frames: 2, tokens: motion.tokens.subarray(0, 2 * D) });
    await avatar.close();
  }
}

class LocalAvatar implements Avatar {
  constructor(
    readonly warnings: readonly string[],
    private readonly generator: MotionGenerator,
    private readonly renderer: Renderer,
  ) {}

  generateMotion(window: MotionWindow): Promise<Motion> {
    return this.generator.generate(window);
  }

  render(motion: Motion): Promise<Uint8Array> {
    return this.renderer.render(motion);
  }

  async close(): Promise<void> {
    // Tensors are plain arrays: letting go of them is enough.
  }
}

/** Keeps `pose_style` within what the pack can show, and says so. */
function limitPose(parameters: MotionParameters, limit: number | undefined, warnings: string[]): MotionParameters {
  const { poseStyle } = parameters;
  if (!poseStyle || limit === undefined || poseStyle.every((angle) => Math.abs(angle) <= limit)) return parameters;
  warnings.push(`pose_style: this model turns the head by at most ${limit} rad each way; more was limited to that.`);
  const [pitch, yaw, roll] = poseStyle.map((angle) => Math.max(-limit, Math.min(limit, angle)));
  return { ...parameters, poseStyle: [pitch!, yaw!, roll!] };
}
