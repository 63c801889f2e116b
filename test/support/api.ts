import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** An answer, its body parsed. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests assert what is in there
  readonly body: any;
}

export interface AudioFile {
  readonly bytes: Uint8Array;
  readonly name?: string;
  readonly type?: string;
}

type Fields = Record<string, string | number | boolean>;

/** The service's HTTP API as a test calls it: by hand, without the project's own client. */
export class Api {
  constructor(private readonly url: string) {}

  async init(image: string | Uint8Array, fields: Fields = {}): Promise<Answer> {
    const form = formOf(fields);
    const bytes = typeof image === 'string' ? await readFile(image) : image;
    form.set('image', new Blob([bytes as Uint8Array<ArrayBuffer>]), 'portrait');
    return this.post('init', form);
  }

  async feed(sessionId: string, audio: AudioFile | undefined, fields: Fields = {}): Promise<Answer> {
    const form = formOf({ session_id: sessionId, ...fields });
    if (audio) {
      const blob = new Blob([audio.bytes as Uint8Array<ArrayBuffer>], { type: audio.type ?? 'audio/wav' });
      form.set('audio_chunk', blob, audio.name ?? 'chunk.wav');
    }
    return this.post('feed', form);
  }

  post(verb: 'init' | 'feed', form: FormData | URLSearchParams): Promise<Answer> {
    return answer(fetch(`${this.url}/api/audio-driven/chunked/${verb}`, { method: 'POST', body: form }));
  }

  status(sessionId: string): Promise<Answer> {
    return answer(fetch(`${this.url}/api/audio-driven/chunked/status/${sessionId}`));
  }

  delete(sessionId: string): Promise<Answer> {
    return answer(fetch(`${this.url}/api/audio-driven/chunked/session/${sessionId}`, { method: 'DELETE' }));
  }

  get(path: string): Promise<Answer> {
    return answer(fetch(`${this.url}${path}`));
  }

  /** Inits with a picture and gives the session's id. @throws when that is refused */
  async open(image: string | Uint8Array, fields: Fields = {}): Promise<string> {
    const { status, body } = await this.init(image, fields);
    if (status !== 200) throw new Error(`init answered ${status}: ${JSON.stringify(body)}`);
    return body.session_id;
  }

  /** Waits for the end of the talk. @returns the last status */
  async complete(sessionId: string, seconds = 50): Promise<Answer['body']> {
    const deadline = Date.now() + seconds * 1000;
    for (;;) {
      const { body } = await this.status(sessionId);
      if (body.status === 'complete') return body;
      if (body.status === 'error' || Date.now() > deadline) throw new Error(`not complete: ${JSON.stringify(body)}`);
      await sleep(50);
    }
  }

  /** The finished talk as an MP4. */
  async download(sessionId: string): Promise<Buffer> {
    const response = await fetch(`${this.url}/api/hls/${sessionId}/download`);
    if (!response.ok) throw new Error(`download answered ${response.status}: ${await response.text()}`);
    return Buffer.from(await response.arrayBuffer());
  }
}

function formOf(fields: Fields): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, String(value));
  return form;
}

async function answer(pending: Promise<Response>): Promise<Answer> {
  const response = await pending;
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json');
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}
