import type { AppError } from '../errors.js';
import type { RgbImage } from './image.js';

/** What a session may ask of the motion generator; fixed for the session's life. */
export interface MotionParameters {
  /** Same seed, same input: same frames. */
  readonly seed: number;
  /** Points of the ODE solver's time grid, 5..50; one evaluation fewer is made per window. */
  readonly nfe: number;
  /** Classifier-free guidance on audio, 1..5. */
  readonly cfgScale: number;
  /** Constant head pose `[pitch, yaw, roll]` in radians, added to the generated motion. */
  readonly poseStyle?: readonly [number, number, number];
  /** Constant gaze `[x, y]`, -1..1, added to the generated motion. */
  readonly gazeStyle?: readonly [number, number];
}

export interface AvatarOptions extends MotionParameters {
  /** Find the face and crop to it; otherwise the whole picture stays in the frame. */
  readonly crop: boolean;
}

/** Final frames that a window may go back over and make anew: 3 s. */
export const MOST_REWOUND_FRAMES = 75;

/** A stretch of 16 kHz mono speech, and where it lies on the session's timeline. */
export interface MotionWindow {
  /** First frame of the window proper (behind the context): the one behind those that are final, or up to 75 before it; elsewhere motion begins anew. */
  readonly startFrame: number;
  /** Frames of the window proper. */
  readonly frames: number;
  /** Frames at the end that the next window will generate again; 0 in the last window. */
  readonly overlapFrames: number;
  /** Frames of earlier sound at the head of `waveform`, heard but not generated. */
  readonly contextFrames: number;
  /** `(contextFrames + frames) * samplesPerFrame` samples, -1..1. */
  readonly waveform: Float32Array;
}

/** Motion tokens of consecutive frames. */
export interface Motion {
  readonly startFrame: number;
  readonly frames: number;
  /** `[frames, D]`, row-major. */
  readonly tokens: Float32Array;
}

/** Motion in pieces of at most `length` frames. */
export function cutMotion({ startFrame, frames, tokens }: Motion, length: number): Motion[] {
  const width = tokens.length / frames;
  const pieces: Motion[] = [];
  for (let at = 0; at < frames; at += length) {
    const count = Math.min(length, frames - at);
    const part = tokens.slice(at * width, (at + count) * width);
    pieces.push({ startFrame: startFrame + at, frames: count, tokens: part });
  }
  return pieces;
}

/**
 * One portrait, brought to life. Windows come one after another, in the order of the timeline; frames of one window may be
 * asked for while earlier ones are being drawn. `dueAt` says when the result is needed, in milliseconds since the epoch:
 * what is most urgent is done first.
 */
export interface Avatar {
  /** What was assumed about the portrait, in words for the caller. */
  readonly warnings: readonly string[];
  /** Called when what draws it is gone and nothing more will come of it. */
  onLost?: ((reason: AppError) => void) | undefined;
  /** Motion of the frames that this window makes final: `frames - overlapFrames` of them. */
  generateMotion(window: MotionWindow, dueAt: number): Promise<Motion>;
  /** I420 frames, back to back, `frames * width * height * 3 / 2` bytes. */
  render(motion: Motion, dueAt: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** What the rest of the service needs to know about the model that speaks. */
export interface EngineDescription {
  readonly pack: string;
  readonly device: 'cpu' | 'cuda' | 'tensorrt';
  /** Why this device: asked for, or what `auto` found. */
  readonly deviceReason: string;
  readonly fps: number;
  readonly width: number;
  readonly height: number;
  /** Frames of sound before a window that the audio encoder wants to hear. */
  readonly contextFrames: number;
  /** Frames that one run of the renderer draws at most. */
  readonly batchFrames: number;
}

/** What a model has of a GPU, memory in MiB. */
export interface GpuUse {
  readonly name: string;
  readonly totalMib: number;
  /** Taken by the model and by what its largest run needs. */
  readonly modelMib: number;
  /** Taken by each further session, as measured when the model was loaded. */
  readonly sessionMib: number;
}

/** The same with what is free at the moment; undefined where the driver does not say. */
export interface GpuMemory extends GpuUse {
  readonly freeMib: number | undefined;
}

/**
 * Gives portraits a voice. There are two: one that runs the graphs where it stands (`LocalEngine`, inside a worker),
 * and one that hands the calls to such workers (`WorkerEngine`).
 */
export interface AvatarEngine {
  readonly description: EngineDescription;
  /** Whether `open` would be served now. */
  readonly ready: boolean;
  /** @throws AppError `face_not_found` when `crop` is asked for and there is none. */
  open(portrait: RgbImage, options: AvatarOptions): Promise<Avatar>;
  /**
   * Times the model: seconds that a second of video takes, of a core on a CPU, of the device on a GPU. Before any session is
   * opened, for on a CPU all that the process does meanwhile is counted.
   */
  measureCost(): Promise<number>;
  close(): Promise<void>;
}
