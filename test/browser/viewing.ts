import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

// The scripts are JavaScript: what the tests use of them is told here.
const { openViewer, startChromium } = require('../../scripts/live/chromium.mjs');
const { LiveSession } = require('../../scripts/live/live-session.mjs');
const { encoderPids, startStampedService } = require('../../scripts/live/service.mjs');
const { sampleSpeech, utterance } = require('../../scripts/live/speech.mjs');

const root = resolve(__dirname, '../..');
const SAMPLE_RATE = 24_000;

/** One frame when it was handed to the encoder. */
export interface HandedFrame {
  readonly session: number;
  /** Its place in the stream. */
  readonly position: number;
  /** The number in its picture: an earlier one where the picture was not drawn in time. */
  readonly frame: number;
}

/** One picture on the screen. */
export interface SeenPicture {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly drawnAt: number;
  readonly frame: number;
  /** Sample of the click in the frame's sound, where there is one. */
  readonly click?: number;
  readonly mediaTime: number;
}

/** What a viewer has noted. */
export interface Notes {
  readonly pictures: SeenPicture[];
  readonly heard: { readonly at: number }[];
  readonly waits: { readonly at: number; readonly mediaTime: number }[];
  readonly errors: { readonly details: string; readonly fatal: boolean; readonly message?: string }[];
  /** Pictures without a code that could be read. */
  readonly unread: number;
  readonly currentTime: number;
}

export interface Viewer {
  /** All that was noted so far. */
  notes(): Promise<Notes>;
  /** Paths of all that was fetched so far. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

export interface SessionEvent {
  readonly type: string;
  readonly frame: number;
  readonly dropped_seconds?: number;
}

/** A live session and what it told. */
export interface Talk {
  readonly playlistUrl: string;
  readonly events: readonly SessionEvent[];
  /** Says `seconds` of the sample recording, with clicks at the given seconds. */
  say(seconds: number, clicks: readonly number[]): Promise<void>;
  interrupt(): Promise<number>;
  /** Ends the talk, waits for its last frame, and gives it as an MP4. */
  whole(): Promise<Uint8Array>;
  /** Kills the FFmpeg that encodes it; there must be no other session. */
  killEncoder(): Promise<void>;
  watch(options?: { lowLatency?: boolean }): Promise<Viewer>;
  delete(): Promise<void>;
}

export interface Stage {
  open(fields?: Record<string, string | number | boolean>): Promise<Talk>;
  /** Frames of the newest session, in the order they were handed to the encoder. */
  handed(): readonly HandedFrame[];
  close(): Promise<void>;
}

/** The real service with a time code in its pictures, and a browser to watch it with. */
export async function setStage(): Promise<Stage> {
  const browser = await startChromium();
  const frames: HandedFrame[] = [];
  const onFrame = (frame: HandedFrame) => frames.push(frame);
  const service = await startStampedService({ root, onFrame, quiet: true }).catch(async (error: Error) => {
    await browser.close();
    throw error;
  });
  const portrait = await readFile(resolve(root, 'clients/web/samples/portrait.jpg'));
  const speech = await sampleSpeech(root, SAMPLE_RATE);
  return {
    open: async (fields = {}) => {
      const session = await LiveSession.open(service.url, portrait, { audio_sample_rate: SAMPLE_RATE, ...fields });
      const events: SessionEvent[] = [];
      const gone = new AbortController();
      const listening = (async () => {
        for await (const event of session.events(gone.signal)) events.push(event);
      })().catch(() => undefined);
      return {
        playlistUrl: session.playlistUrl,
        events,
        say: (seconds, clicks) => session.feed(utterance(speech, SAMPLE_RATE, seconds, clicks)),
        interrupt: () => session.interrupt(),
        whole: async () => {
          await session.finish();
          await until(async () => (await session.status()).status === 'complete', 'the talk is complete');
          return session.download();
        },
        killEncoder: async () => {
          const [pid, ...others] = await encoderPids(service.pid);
          if (pid === undefined || others.length > 0) throw new Error(`Not one encoder: ${[pid, ...others]}`);
          process.kill(pid, 'SIGKILL');
        },
        watch: async (options = {}) => {
          const where = { root, origin: service.url, url: session.multivariantUrl };
          return asViewer(await openViewer(browser, { ...where, ...options }));
        },
        delete: async () => {
          await session.delete();
          gone.abort();
          await listening;
        },
      };
    },
    handed: () => {
      const newest = Math.max(...frames.map(({ session }) => session));
      return frames.filter(({ session }) => session === newest);
    },
    close: async () => {
      await browser.close();
      await service.stop();
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: from JavaScript
function asViewer(opened: any): Viewer {
  const all: Omit<Notes, 'unread' | 'currentTime'> = { pictures: [], heard: [], waits: [], errors: [] };
  const { requests } = opened;
  return {
    requests,
    notes: async () => {
      const taken: Notes = await opened.take();
      for (const name of ['pictures', 'heard', 'waits', 'errors'] as const) {
        (all[name] as unknown[]).push(...taken[name]);
      }
      return { ...all, unread: taken.unread, currentTime: taken.currentTime };
    },
    close: () => opened.close(),
  };
}

/** Waits until something is true. @throws Error after 60 s */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Waited in vain: ${what}`);
    await sleep(100);
  }
}
