import type { AvatarOptions, EngineDescription, Motion, MotionWindow } from '../avatar/engine.js';
import type { RgbImage } from '../avatar/image.js';
import type { ErrorCode } from '../errors.js';
import type { Device } from './onnx-model.js';

/** What a worker is started with. */
export interface WorkerSetup {
  readonly packDirectory: string;
  readonly device: Device;
  /** Frames drawn in one run, at most. */
  readonly batchFrames: number;
}

/** Calls to a worker. `avatar` is a number the engine chose; it is the same in all calls about one session. */
export type WorkerCall =
  | { readonly type: 'open'; readonly avatar: number; readonly portrait: RgbImage; readonly options: AvatarOptions }
  | { readonly type: 'generateMotion'; readonly avatar: number; readonly window: MotionWindow; readonly dueAt: number }
  | { readonly type: 'render'; readonly avatar: number; readonly motion: Motion; readonly dueAt: number }
  | { readonly type: 'close'; readonly avatar: number }
  | { readonly type: 'measureCost' };

/** What each call answers. */
export interface WorkerResults {
  open: { readonly warnings: readonly string[] };
  generateMotion: Motion;
  render: Uint8Array;
  close: undefined;
  measureCost: number;
}

export interface WorkerRequest {
  readonly id: number;
  readonly call: WorkerCall;
}

/** Sent to a worker thread in place of a request: it is to end, between two runs. */
export const STOP = 'stop';

/** An error on its way between threads or processes, where classes get lost. */
export interface WorkerFailure {
  readonly code: ErrorCode;
  readonly detail: string;
  /** For the log alone. */
  readonly stack: string | undefined;
}

export type WorkerMessage =
  | { readonly type: 'ready'; readonly description: EngineDescription }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'result'; readonly id: number; readonly value: WorkerResults[WorkerCall['type']] }
  | { readonly type: 'error'; readonly id: number; readonly failure: WorkerFailure }
  /** The device failed under the worker, which ends itself: what it goes on computing could be anything. */
  | { readonly type: 'broken'; readonly reason: string };
