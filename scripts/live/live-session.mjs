// A live session over HTTP, by hand: what is measured is the service, not one of its clients.
import { readEvents } from '../server-sent-events.mjs';

const CHUNKED = '/api/audio-driven/chunked';

/** An answer's JSON. @throws Error with what the service says */
async function json(pending) {
  const response = await pending;
  const body = await response.json();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${body.detail ?? ''}`);
  return body;
}

function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value instanceof Blob ? value : String(value));
  return form;
}

/** Mono 16-bit little-endian PCM of samples from -1 to 1. */
export function pcm16(samples) {
  return new Uint8Array(Int16Array.from(samples, (x) => Math.round(32767 * Math.min(1, Math.max(-1, x)))).buffer);
}

export class LiveSession {
  #url;

  constructor(url, answer) {
    this.#url = url;
    this.id = answer.session_id;
    this.playlistUrl = `${url}${answer.hls_url}`;
    this.multivariantUrl = `${url}${answer.multivariant_url}`;
    this.sampleRate = answer.audio_sample_rate;
  }

  /** @param portrait bytes of a picture; fields as `init` takes them */
  static async open(url, portrait, fields = {}) {
    const form = formOf({ live: true, ...fields, image: new Blob([portrait]) });
    return new LiveSession(url, await json(fetch(`${url}${CHUNKED}/init`, { method: 'POST', body: form })));
  }

  /** @param samples mono at the session's rate, -1..1 */
  feed(samples, fields = {}) {
    const form = formOf({ session_id: this.id, ...fields });
    form.set('audio_chunk', new Blob([pcm16(samples)], { type: 'audio/L16' }), 'chunk.pcm');
    return json(fetch(`${this.#url}${CHUNKED}/feed`, { method: 'POST', body: form }));
  }

  /** Ends the talk when all has been said. */
  finish() {
    const form = formOf({ session_id: this.id, is_final_chunk: true });
    return json(fetch(`${this.#url}${CHUNKED}/feed`, { method: 'POST', body: form }));
  }

  /** @returns seconds of speech that will not be heard */
  async interrupt() {
    const form = formOf({ session_id: this.id });
    const answer = await json(fetch(`${this.#url}${CHUNKED}/interrupt`, { method: 'POST', body: form }));
    return answer.dropped_seconds;
  }

  status() {
    return json(fetch(`${this.#url}${CHUNKED}/status/${this.id}`));
  }

  /** The whole talk as an MP4; of a recorded session that is over. */
  async download() {
    const response = await fetch(`${this.#url}/api/hls/${this.id}/download`);
    if (!response.ok) throw new Error(`download answered ${response.status}: ${await response.text()}`);
    return new Uint8Array(await response.arrayBuffer());
  }

  delete() {
    return json(fetch(`${this.#url}${CHUNKED}/session/${this.id}`, { method: 'DELETE' }));
  }

  /** What happens in the session, as `{id, type, at, frame, seconds, detail?, dropped_seconds?}`. Ends with it. */
  async *events(signal) {
    yield* readEvents(await fetch(`${this.#url}${CHUNKED}/events/${this.id}`, { signal }));
  }
}
