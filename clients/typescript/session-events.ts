import { FacecastError } from './facecast-error.js';
import { type ServerSentEvent, ServerSentEventParser } from './server-sent-events.js';
import { backOffSeconds, type Transport } from './transport.js';

export type SessionEventType = 'speech_started' | 'speech_ended' | 'interrupted' | 'lagging' | 'error' | 'closed';

/** Something that happened on a session's timeline. */
export interface SessionEvent {
  /** Counts the session's events, from 1. */
  readonly id: number;
  readonly type: SessionEventType;
  /** Seconds since 1970. */
  readonly at: number;
  /** Frame of the timeline, 25 a second. */
  readonly frame: number;
  /** Where that frame lies on the timeline, seconds. */
  readonly seconds: number;
  /** In words, where there is more to say. */
  readonly detail?: string;
  /** Of `interrupted`: seconds of speech that will not be heard. */
  readonly droppedSeconds?: number;
}

export interface EventsOptions {
  /** Events behind the one of this id come first, as far as they are kept (about 64); 0 for all. Default: only what is new. */
  readonly after?: number;
  readonly signal?: AbortSignal;
}

/** The service says something every 15 s. Three times nothing is a connection that is dead without knowing. */
const SILENCE_MILLISECONDS = 45_000;

/** A connection that lived so long was a good one: its end does not count as a failure. */
const GOOD_MILLISECONDS = 5000;

/** Events of one session until it is closed; see `FacecastSession.events`. */
export async function* sessionEvents(
  transport: Transport,
  path: string,
  { after, signal }: EventsOptions,
  silenceMilliseconds = SILENCE_MILLISECONDS,
): AsyncGenerator<SessionEvent, void, undefined> {
  let lastId = after;
  for (let attempt = 1; ; attempt++) {
    const headers: Record<string, string> = lastId === undefined ? {} : { 'Last-Event-ID': String(lastId) };
    const response = await transport.send(path, { headers, signal }, async (answer) => answer);
    // "No more": the session is closed, and all that happened was told.
    if (response.status === 204 || !response.body) return;
    const blocks = readBlocks(response.body, silenceMilliseconds);
    const begin = transport.clock.now();
    try {
      for (;;) {
        const block = await nextOf(blocks, signal);
        if (!block) break;
        if (block.id !== undefined) lastId = Number(block.id);
        if (block.data === undefined) continue;
        attempt = 0;
        const event = parseEvent(block, lastId ?? 0);
        yield event;
        if (event.type === 'closed') return;
      }
    } finally {
      await blocks.return();
    }
    if (transport.clock.now() - begin >= GOOD_MILLISECONDS) attempt = 0;
    if (attempt >= transport.maxAttempts) {
      throw new FacecastError({ code: 'network', detail: `${transport.url(path)} broke off again and again.` });
    }
    await transport.clock.sleep(backOffSeconds(attempt || 1) * 1000, signal);
  }
}

/** The next block; undefined when the connection ended or broke. @throws the signal's reason */
async function nextOf(
  blocks: AsyncGenerator<ServerSentEvent, void, undefined>,
  signal: AbortSignal | undefined,
): Promise<ServerSentEvent | undefined> {
  try {
    const { value } = await blocks.next();
    signal?.throwIfAborted();
    return value ?? undefined;
  } catch {
    signal?.throwIfAborted();
    return undefined;
  }
}

async function* readBlocks(
  body: ReadableStream<Uint8Array>,
  silenceMilliseconds: number,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  const reader = body.getReader();
  const parser = new ServerSentEventParser();
  try {
    for (;;) {
      const { value } = await orSilence(reader.read(), silenceMilliseconds);
      if (!value) return;
      yield* parser.push(value);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** @throws Error when nothing comes for so long */
async function orSilence<T>(pending: Promise<T>, milliseconds: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('Nothing was heard for too long.')), milliseconds);
  });
  try {
    return await Promise.race([pending, silence]);
  } finally {
    clearTimeout(timer);
  }
}

function parseEvent({ data }: ServerSentEvent, id: number): SessionEvent {
  try {
    const { type, at, frame, seconds, detail, dropped_seconds: droppedSeconds } = JSON.parse(data!);
    return {
      ...{ id, type, at, frame, seconds },
      ...(detail !== undefined && { detail }),
      ...(droppedSeconds !== undefined && { droppedSeconds }),
    };
  } catch (cause) {
    throw new FacecastError({
      code: 'bad_response',
      detail: 'An event is not in JSON. Is this a Facecast server?',
      cause,
    });
  }
}
