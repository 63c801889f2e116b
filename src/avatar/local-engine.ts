import { now } from '../clock.js';
import { AppError } from '../errors.js';
import { InferenceQueue, type Station } from '../inference/inference-queue.js';
import type { ModelPack } from '../inference/model-pack.js';
import { type Device, OnnxModel } from '../inference/onnx-model.js';
import { AudioEncoder, commonLengths } from './audio-encoder.js';
import { cropToFace, type SourceImage } from './crop.js';
import type { AvatarEngine, AvatarOptions, EngineDescription, MotionParameters, MotionWindow } from './engine.js';
import { FaceAnalyser } from './face.js';
import { FlowSampler } from './flow-sampler.js';
import { type RgbImage, toPlanes } from './image.js';
import { LocalAvatar } from './local-avatar.js';
import { MotionGenerator } from './motion-generator.js';
import { MotionStation } from './motion-station.js';
import { analysePortrait } from './portrait-analyser/analyser.js';
import { type IdentityTensors, type Pose, Renderer } from './renderer.js';

/** How long a run that is not full waits for frames of other sessions: a small part of a frame's 40 ms. */
const BATCH_WAIT_MILLISECONDS = 3;
/**
 * A part of an opening goes before what is needed later than this: a live session asks so long before, and so waits for
 * one part at most. Parts have deadlines of their own, or the last ones would be as urgent as late frames.
 */
const OPENING_PATIENCE_MILLISECONDS = 200;
/** A session that asked for nothing for so long is not speaking: nobody waits for its next frame. */
const SPEAKING_MILLISECONDS = 200;

/** Frames of a window in a live session. */
const LIVE_WINDOW_FRAMES = 8;
/** How long the model is timed at its start. */
const TIMING_SECONDS = 1;
/** On a CPU, sessions whose turns it is in between: what one is drawn from has left the cache when its turn comes again. */
const TRIAL_IDENTITIES = 4;

export interface LocalEngineOptions {
  readonly device: Device;
  /** Frames drawn in one run, at most, where the pack's renderer takes several. */
  readonly batchFrames: number;
}

interface Models {
  readonly faceAnalyser: FaceAnalyser;
  readonly sourceEncoder: OnnxModel | undefined;
  readonly audioEncoder: OnnxModel;
  readonly motionGenerator: OnnxModel;
  readonly renderer: OnnxModel;
}

/**
 * An engine that runs a model pack's graphs where it stands: in a worker, never in the thread that serves HTTP. The
 * sessions' calls wait in one queue and are served by deadline, frames and windows of several sessions in one run where
 * the graphs allow it.
 */
export class LocalEngine implements AvatarEngine {
  readonly description: EngineDescription;
  readonly #pack: ModelPack;
  readonly #models: Models;
  readonly #queue = new InferenceQueue(BATCH_WAIT_MILLISECONDS);
  readonly #renderer: Renderer;
  readonly #opening: Station<() => unknown, unknown> = {
    sizes: [1],
    run: async ([part]) => [await part!()],
  };
  readonly #audioEncoder: AudioEncoder;
  readonly #motion: MotionStation;
  readonly #drawing: Station<Pose, Uint8Array>;
  readonly #avatars = new Set<LocalAvatar>();

  private constructor(pack: ModelPack, models: Models, { device, batchFrames }: LocalEngineOptions) {
    this.#pack = pack;
    this.#models = models;
    const renderer = new Renderer(models.renderer);
    this.#renderer = renderer;
    this.#drawing = {
      sizes: renderer.batches ? runSizes(device, batchFrames) : [1],
      kind: ({ identity }) => (renderer.mixes ? undefined : identity),
      run: (poses) => renderer.draw(poses),
      expectsMore: (poses) => renderer.mixes && this.#othersSpeak(poses),
    };
    const sampler = new FlowSampler(models.motionGenerator);
    this.#audioEncoder = new AudioEncoder(models.audioEncoder, pack.facts.audio.normalisation);
    this.#motion = new MotionStation(
      this.#audioEncoder,
      sampler,
      // On a CPU a run of two windows takes as long as two runs, and the first one's frames would wait for the second's.
      sampler.batches && device !== 'cpu' ? runSizes(device, batchFrames) : [1],
    );
    this.description = {
      pack: pack.facts.name,
      device,
      deviceReason: 'asked for',
      fps: pack.facts.fps,
      width: pack.facts.frame.width,
      height: pack.facts.frame.height,
      contextFrames: pack.facts.audio.context_frames,
      batchFrames: this.#drawing.sizes[this.#drawing.sizes.length - 1]!,
    };
  }

  /**
   * Loads the pack's graphs, compares them with the contract, and warms them up: after this the first frame takes as
   * long as any other.
   * @throws Error saying which graph does not fit or does not run.
   */
  static async load(pack: ModelPack, options: LocalEngineOptions): Promise<LocalEngine> {
    const load = (name: Parameters<ModelPack['graphPath']>[0]) =>
      OnnxModel.load(pack.graphPath(name), { device: options.device, threads: 1 });
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
    if (models.sourceEncoder) pack.checkIdentity(models.sourceEncoder, models.renderer);
    const engine = new LocalEngine(pack, models, options);
    await engine.#warmUp();
    return engine;
  }

  get ready(): boolean {
    return true;
  }

  async close(): Promise<void> {
    const { faceAnalyser, sourceEncoder, audioEncoder, motionGenerator, renderer } = this.#models;
    for (const model of [renderer, motionGenerator, audioEncoder, sourceEncoder, faceAnalyser]) await model?.close();
  }

  /** Opens a portrait a part at a time, for other sessions' frames to be drawn in between. */
  async open(portrait: RgbImage, options: AvatarOptions): Promise<LocalAvatar> {
    const { facts } = this.#pack;
    const [face] = await this.#inTurn(() => this.#models.faceAnalyser.analyse(portrait));
    if (!face && options.crop) {
      throw new AppError(
        'face_not_found',
        'image: no face was found. Send a picture with a face looking at the camera, or crop=false to animate the centre of the picture.',
      );
    }
    const { crop } = options;
    const { size, crop_scale: scale } = facts.source;
    const source = await this.#inTurn(() => cropToFace(portrait, face, { size, crop, scale }));
    const { reference, tensors } = await this.#encodeSource(source);
    const { motion, audio } = facts;
    const sizes = {
      tokens: motion.tokens,
      features: audio.features,
      context: motion.context,
      window: motion.window,
    };
    const warnings = source.assumed ? ['image: no face was found; one in the centre of the picture is assumed.'] : [];
    const parameters = limitPose(options, motion.pose_limit, warnings);
    const avatar: LocalAvatar = new LocalAvatar({
      warnings,
      generator: new MotionGenerator(sizes, parameters, reference),
      identity: this.#renderer.identity(tensors),
      queue: this.#queue,
      motion: this.#motion,
      drawing: this.#drawing,
      onClose: () => this.#avatars.delete(avatar),
    });
    this.#avatars.add(avatar);
    return avatar;
  }

  /** Whether a session that has none of these frames is likely to send one soon. */
  #othersSpeak(poses: readonly Pose[]): boolean {
    const here = new Set(poses.map(({ identity }) => identity));
    const since = performance.now() - SPEAKING_MILLISECONDS;
    return [...this.#avatars].some(({ identity, lastAsked }) => lastAsked > since && !here.has(identity));
  }

  async #encodeSource(source: SourceImage): Promise<{ reference: Float32Array; tensors: IdentityTensors }> {
    const { motion_ref, ...tensors } = await this.#identityOf(source);
    return { reference: motion_ref!.data as Float32Array, tensors };
  }

  async #identityOf(source: SourceImage): Promise<IdentityTensors> {
    const { sourceEncoder } = this.#models;
    const { image } = source;
    if (sourceEncoder) {
      const input = { data: toPlanes(image, 0, 1), dims: [1, 3, image.height, image.width] };
      return this.#inTurn(() => sourceEncoder.run({ image: input }));
    }
    const parts = analysePortrait(source);
    for (;;) {
      const part = await this.#inTurn(() => parts.next());
      if (part.done) return part.value;
    }
  }

  /** Does a part of an opening when nothing is more urgent. */
  #inTurn<T>(part: () => T | Promise<T>): Promise<T> {
    const dueAt = now() + OPENING_PATIENCE_MILLISECONDS;
    const station = this.#opening as Station<typeof part, T>;
    return this.#queue.do(station, part, { dueAt, owner: part });
  }

  async measureCost(): Promise<number> {
    const { device, fps, batchFrames } = this.description;
    const trial = await this.#trial();
    const windows = this.#motion.sizes[this.#motion.sizes.length - 1]!;
    const hop = LIVE_WINDOW_FRAMES - Math.round(0.2 * LIVE_WINDOW_FRAMES);
    const seconds = device === 'cpu' ? cpuSeconds : wallSeconds;
    let [generating, drawing, times] = [0, 0, 0];
    const begun = wallSeconds();
    while (wallSeconds() - begun < TIMING_SECONDS) {
      const start = seconds();
      // Short windows, as a live session has them: those cost most.
      await trial.generate(LIVE_WINDOW_FRAMES, windows);
      const generated = seconds();
      await trial.draw(batchFrames);
      const drawn = seconds();
      generating += generated - start;
      drawing += drawn - generated;
      times++;
    }
    await trial.end();
    return (fps / times) * (generating / (hop * windows) + drawing / batchFrames);
  }

  /**
   * Silence on a grey picture, through every graph and, on a GPU, in runs of every size that will be asked for, the largest
   * first: kernels are chosen and memory is taken for each, which may take seconds.
   */
  async #warmUp(): Promise<void> {
    const { contextFrames, device, fps } = this.description;
    const trial = await this.#trial();
    for (const count of warmUpSizes(this.#motion.sizes, device)) await trial.generate(fps, count);
    for (const lengths of device === 'cpu' ? [] : commonLengths(contextFrames, fps)) {
      await this.#audioEncoder.encode(silence(lengths, fps));
    }
    for (const count of warmUpSizes(this.#drawing.sizes, device)) await trial.draw(count);
    await trial.end();
  }

  /** A grey picture to try things with. */
  async #trial() {
    const { size } = this.#pack.facts.source;
    const { contextFrames, fps } = this.description;
    const grey = { width: size, height: size, data: new Uint8Array(size * size * 3).fill(128) };
    const avatar = await this.open(grey, { crop: false, seed: 0, nfe: 10, cfgScale: 2 });
    // Something is to be done with all of them.
    const tokens = new Float32Array(this.#pack.facts.motion.tokens).fill(0.5);
    const copies = this.#renderer.mixes ? [] : Array.from({ length: TRIAL_IDENTITIES }, () => copied(avatar.identity));
    let turn = 0;
    // Each frame of a session of its own: the most that such a run can hold. Where a run holds one session, they take turns.
    const identities = () => {
      const one = copies[turn++ % TRIAL_IDENTITIES];
      return () => one ?? { ...avatar.identity };
    };
    return {
      generate: (frames: number, count: number) => {
        const task = avatar.task(silence({ contextFrames, frames }, fps));
        return this.#motion.run(Array.from({ length: count }, () => task));
      },
      draw: (count: number) => {
        const identity = identities();
        return this.#renderer.draw(Array.from({ length: count }, () => ({ tokens, identity: identity() })));
      },
      end: () => avatar.close(),
    };
  }
}

/** A window of silence of which nothing becomes final, so that the same may come again. */
function silence(lengths: Pick<MotionWindow, 'contextFrames' | 'frames'>, fps: number): MotionWindow {
  const { contextFrames, frames } = lengths;
  const waveform = new Float32Array(((contextFrames + frames) * 16000) / fps);
  return { contextFrames, frames, startFrame: 0, overlapFrames: frames, waveform };
}

function copied(identity: IdentityTensors): IdentityTensors {
  return Object.fromEntries(
    Object.entries(identity).map(([name, { data, dims }]) => [name, { data: data.slice(), dims }]),
  );
}

function wallSeconds(): number {
  return performance.now() / 1000;
}

/** Of all threads of this process: the graphs do not run in the one that asks. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Numbers of items in a run: any on a CPU; on a GPU few, because kernels are chosen anew for each. */
function runSizes(device: Device, most: number): number[] {
  const sizes = device === 'cpu' ? Array.from({ length: most }, (_, i) => i + 1) : [];
  for (let size = 1; sizes[sizes.length - 1] !== most; size *= 2) sizes.push(Math.min(size, most));
  return sizes;
}

/** Largest first. On a CPU the largest will do: it shows that such runs work, and nothing is chosen for each size. */
function warmUpSizes(sizes: readonly number[], device: Device): readonly number[] {
  const descending = [...sizes].reverse();
  return device === 'cpu' ? descending.slice(0, 1) : descending;
}

/** Keeps `pose_style` within what the pack can show, and says so. */
function limitPose(
  parameters: MotionParameters,
  limit: readonly number[] | undefined,
  warnings: string[],
): MotionParameters {
  const { poseStyle } = parameters;
  if (!poseStyle || limit === undefined || poseStyle.every((angle, axis) => Math.abs(angle) <= limit[axis]!)) {
    return parameters;
  }
  const [pitch, yaw, roll] = poseStyle.map((angle, axis) => Math.max(-limit[axis]!, Math.min(limit[axis]!, angle)));
  const most = ['pitch', 'yaw', 'roll'].map((name, axis) => `${limit[axis]} rad of ${name}`).join(', ');
  warnings.push(`pose_style: this model shows at most ${most}, each way; more was limited to that.`);
  return { ...parameters, poseStyle: [pitch!, yaw!, roll!] };
}
