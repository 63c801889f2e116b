import type { PcmAudio } from '../audio/decode.js';

/** Frames rendered per call: few enough that the sessions of one inference worker take turns quickly. */
export const RENDER_BATCH = 5;

/** What a talk tells the session it belongs to. */
export interface TalkListener {
  /** The first frame with speech is being made or shown, or the last one was. */
  onSpeech(speaking: boolean, frame: number): void;
  /** Frames came too late and the one before them stayed on the screen; `frames` since the last time. */
  onLag(frames: number, frame: number): void;
  /** Of a live talk: what was heard before `frame`, where a segment ends, which is `seconds` of sound number `sound` and all before it. */
  onShown(frame: number, sound: number, seconds: number): void;
  /** The last frame is in the stream, and its playlist ended. */
  onComplete(): void;
  onFailure(reason: unknown): void;
}

/**
 * What makes a session's frames out of its speech. There are two: `FedTalk` goes on by what is fed and by nothing else,
 * `LiveTalk` by the clock.
 */
export interface Talk {
  /** Frames handed to the stream. */
  readonly frames: number;
  /** Samples at 16 kHz accepted but not yet turned into frames. */
  readonly bufferedSamples: number;
  /** Speech is being turned into frames. */
  readonly speaking: boolean;
  /**
   * Seconds that the next frame is later than in real time: of a live talk by its clock, of a fed one by that of a viewer who
   * began when its speech began to be rendered. 0 where it is in time, or where there is nothing to be made.
   */
  readonly lagSeconds: number;
  /** Of the pictures of the last ten seconds the share that came too late to be shown, 0..1; 0 of a fed talk, which waits. */
  readonly lateShare: number;
  /** Called once, before anything else. */
  start(listener: TalkListener): void;
  /** @throws AppError `session_lagging` when so many seconds more would be more than may wait */
  admit(seconds: number): void;
  /** Takes speech in. @param sound its number, counted from 0 */
  push(pcm: PcmAudio, sound: number): Promise<void>;
  /** Nothing belongs to what was pushed last: what filters hold back is let out. */
  endUtterance(): Promise<void>;
  /** No more speech will come. Resolves when that is noted; `onComplete` tells of the end. */
  finish(): Promise<void>;
  /** Drops what waits. @returns samples at 16 kHz that will not be heard */
  interrupt?(): Promise<number>;
  /** Ends the making of frames. Idempotent. */
  stop(): void;
  /** Resolves when nothing is under way. */
  settled(): Promise<void>;
}
