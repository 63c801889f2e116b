import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { ERROR_STATUS, type ErrorCode } from '../errors.js';

/** How a session's frames come about: by the clock, or by what is fed. */
export type SessionKind = 'live' | 'fed';

/** Steps from a chunk of speech to a part of the stream. */
export type Stage = 'decode' | 'motion' | 'render' | 'encode';

const REASONS_NOT_TO_OPEN: readonly ErrorCode[] = [
  ...(['too_many_sessions', 'gpu_memory_full', 'storage_full', 'not_ready', 'draining', 'internal'] as const),
  ...(['session_exists', 'invalid_image', 'image_too_large', 'face_not_found'] as const),
];

/**
 * Everything the service measures, declared in this one place: names, units and labels as Prometheus wants them (base units,
 * `_total` on what only grows). `docs/monitoring.md` says what each is good for.
 *
 * What measures is handed an object of this class as a constructor option and writes `instruments?.…`: where none is given,
 * as in most tests, nothing is measured and nothing is shared. Labels come from small closed sets; a session's id is never one
 * of them, because each value of a label is a time series that Prometheus keeps.
 */
export class Instruments {
  readonly registry = new Registry();

  readonly ready = this.#gauge('ready', '1 when a new session would be served, else 0.');
  readonly sessions = this.#gauge('sessions', 'Sessions that are there, by kind and state.', ['kind', 'state']);
  readonly sessionsMax = this.#gauge('sessions_max', 'Sessions that may be under way at the same time.');
  readonly sessionsOpened = this.#counter('sessions_opened_total', 'Sessions opened.', ['kind']);
  readonly sessionsRefused = this.#counter('sessions_refused_total', 'Sessions not opened, by error code.', ['code']);
  readonly sessionsFailed = this.#counter('sessions_failed_total', 'Sessions that ended in state error.', ['kind']);

  readonly requests = this.#counter(
    'http_requests_total',
    'HTTP requests answered; status gone: the client left first.',
    ['route', 'method', 'status'],
  );
  readonly refusals = this.#counter('refusals_total', 'Requests and speech sockets refused or failed, by error code.', [
    'code',
  ]);
  readonly initSeconds = this.#histogram(
    'init_seconds',
    'From the head of an init request to its answer, the upload included.',
    [0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10],
  );
  readonly feedSeconds = this.#histogram(
    'feed_seconds',
    'From the head of a feed request to its answer, the upload included.',
    [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
  );

  readonly videoSeconds = this.#counter('video_seconds_total', 'Seconds of video drawn.', ['kind']);
  readonly makingSeconds = this.#counter(
    'making_seconds_total',
    'Seconds in which sessions had motion or frames being made, waiting for their turn included, summed over sessions.',
    ['kind'],
  );
  readonly stageSeconds = this.#histogram(
    'stage_seconds',
    "Decode: a fed chunk. Motion: a window. Render: up to 5 frames. Encode: from a part's last frame to the part. Waiting included.",
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
    ['stage'],
  );

  readonly speechQueued = this.#gauge('speech_queued_seconds', 'Speech accepted and not yet in frames, all sessions.', [
    'kind',
  ]);
  readonly speechQueuedLongest = this.#gauge(
    'speech_queued_longest_seconds',
    'The same of the session that has the most.',
    ['kind'],
  );
  readonly framesKept = this.#gauge('encoder_frames_kept', 'Frames written to encoders that are in no part yet.', [
    'kind',
  ]);
  readonly waitingRequests = this.#gauge('waiting_requests', 'Requests for playlists and parts that wait for more.');
  readonly speechSockets = this.#gauge('speech_sockets', 'WebSockets of speech that are open.');

  readonly partLateness = this.#histogram(
    'part_lateness_seconds',
    'Live: from the instant at which a part ends by the clock of its stream to its listing.',
    [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 2, 5, 10],
  );
  readonly framesHeld = this.#counter(
    'frames_held_total',
    'Live: frames not drawn in time, for which the one before stayed in the picture.',
  );
  readonly audioVideoOffset = this.#gauge(
    'audio_video_offset_seconds',
    'End of the sound less end of the picture in the newest part of a session; of all sessions the one farthest from 0.',
    ['kind'],
  );

  readonly encoderRestarts = this.#counter(
    'encoder_restarts_total',
    'FFmpeg processes that took the place of a dead one.',
  );
  readonly workerRestarts = this.#counter(
    'worker_restarts_total',
    'Inference workers that took the place of a dead one.',
  );
  readonly inferenceWorkers = this.#gauge('inference_workers', 'Inference workers, alive or being replaced.');
  readonly gpuMemory = this.#gauge(
    'gpu_memory_bytes',
    'Memory of a GPU: total, free now, taken by the model, and by each further session.',
    ['gpu', 'part'],
  );

  constructor() {
    // A series that begins with its first event shows no rise at it: Prometheus has nothing before to compare it with.
    for (const code of Object.keys(ERROR_STATUS)) this.refusals.inc({ code }, 0);
    for (const code of REASONS_NOT_TO_OPEN) this.sessionsRefused.inc({ code }, 0);
    for (const kind of ['live', 'fed'] satisfies SessionKind[]) {
      for (const counter of [this.sessionsOpened, this.sessionsFailed, this.videoSeconds, this.makingSeconds]) {
        counter.inc({ kind }, 0);
      }
    }
  }

  /** CPU, memory, open files and event loop of this process too. They watch the whole process: call this once in it. */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.registry, prefix: 'facecast_' });
  }

  #counter<Label extends string = never>(name: string, help: string, labelNames: Label[] = []): Counter<Label> {
    return new Counter({ name: `facecast_${name}`, help, labelNames, registers: [this.registry] });
  }

  #gauge<Label extends string = never>(name: string, help: string, labelNames: Label[] = []): Gauge<Label> {
    return new Gauge({ name: `facecast_${name}`, help, labelNames, registers: [this.registry] });
  }

  #histogram<Label extends string = never>(name: string, help: string, buckets: number[], labelNames: Label[] = []) {
    return new Histogram({ name: `facecast_${name}`, help, buckets, labelNames, registers: [this.registry] });
  }
}
