// One session under load: opened, fed by its plan, watched, deleted.
import { setTimeout as sleep } from 'node:timers/promises';
import { Refused } from './http-client.mjs';
import { SAMPLE_RATE } from './material.mjs';
import { Player } from './player.mjs';
import { speechPlan } from './speech-plan.mjs';

export class Talker {
  /** `{at, milliseconds, seconds, marked}` of each chunk: when it was answered, how long that took. */
  feeds = [];
  /** How often each code was answered. */
  refusals = {};
  failures = [];
  /** `{at, frames}`: pictures that were not drawn in time. */
  late = [];
  #client;
  #live;
  #material;
  #id;

  /** @param index of the session: which portrait, voice and marker are its own */
  constructor(client, { index, live, material }) {
    this.index = index;
    this.#client = client;
    this.#live = live;
    this.#material = material;
  }

  /** @returns whether the service took it; why not is in `refusals` */
  async open() {
    const { png } = this.#material.portraits[this.index];
    const image = { name: 'portrait.png', bytes: png, type: 'image/png' };
    const fields = { image, crop: false, seed: this.index + 1, audio_sample_rate: SAMPLE_RATE, live: this.#live };
    const answer = await this.#counted(() => this.#client.post('init', fields));
    if (!answer) return false;
    this.#id = answer.session_id;
    this.player = new Player(this.#client, answer.hls_url);
    return true;
  }

  /** Speaks and is watched until the signal says so. */
  async talk(signal) {
    const work = [this.#feed(signal), this.player.follow(signal)];
    if (this.#live) work.push(this.#listen(signal));
    await Promise.all(
      work.map((part) =>
        part.catch((error) => {
          if (!signal.aborted) this.failures.push(error.message);
        }),
      ),
    );
  }

  async delete() {
    if (this.#id) await this.#counted(() => this.#client.deleteSession(this.#id));
  }

  async #feed(signal) {
    const voice = this.#material.voices[this.index % this.#material.voices.length];
    const began = performance.now();
    for (const { at, seconds, bytes, marked } of speechPlan({ live: this.#live, voice, session: this.index })) {
      await sleep(Math.max(0, began + at * 1000 - performance.now()), undefined, { signal });
      const chunk = { name: 'chunk.pcm', bytes, type: 'audio/L16' };
      const asked = performance.now();
      if (!(await this.#counted(() => this.#client.post('feed', { session_id: this.#id, audio_chunk: chunk }))))
        continue;
      this.feeds.push({ at: Date.now(), milliseconds: performance.now() - asked, seconds, marked });
    }
  }

  async #listen(signal) {
    await this.#client.follow(
      this.#id,
      ({ type, detail }) => {
        if (type === 'error') this.failures.push(detail);
        if (type !== 'lagging') return;
        this.late.push({ at: Date.now(), frames: Number(/\d+/.exec(detail ?? '')?.[0] ?? 1) });
      },
      signal,
    );
  }

  /** @returns undefined where the service refused */
  async #counted(call) {
    try {
      return (await call()) ?? true;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.refusals[error.code] = (this.refusals[error.code] ?? 0) + 1;
      return undefined;
    }
  }
}
