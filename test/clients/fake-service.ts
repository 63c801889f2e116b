import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type Response } from 'express';
import multer from 'multer';

/** A form as it arrived. */
export interface ReceivedForm {
  readonly path: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly file: { field: string; name: string; type: string; bytes: Buffer } | undefined;
}

/** What the fake does with a request instead of answering it properly. */
export type Mishap =
  | { readonly status: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> }
  /** Does the work, then hangs up instead of answering. */
  | 'lose the answer'
  /** Hangs up at once. */
  | 'hang up'
  /** Hangs up on an `init`, whose id stays in use for the next two requests, and is free again then. */
  | 'give up'
  /** Sends half of the answer at once, the rest a second later. */
  | 'answer slowly'
  /** Sends half of the answer, then hangs up. */
  | 'break off';

/**
 * A small server that speaks the service's contract over real HTTP, remembers what it was sent and can be told to
 * misbehave. Its sessions finish as soon as the final chunk is there.
 */
export class FakeService {
  readonly forms: ReceivedForm[] = [];
  readonly deleted: string[] = [];
  /** Consumed one by one, one a request. */
  readonly mishaps: Mishap[] = [];
  /** What `status` says before the final chunk, one by one; the last one stays. */
  statuses: { status: string; error?: string }[] = [];
  readonly #sessions = new Set<string>();
  readonly #indices = new Set<string>();
  #final = false;
  /** Requests during which an id that is no session's is in use. */
  #busyRequests = 0;
  #close = async () => {};
  url = '';

  static async start(): Promise<FakeService> {
    const fake = new FakeService();
    const server = createServer(fake.#app()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    fake.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    fake.#close = async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    };
    return fake;
  }

  close(): Promise<void> {
    return this.#close();
  }

  get feeds(): readonly ReceivedForm[] {
    return this.forms.filter(({ path }) => path.endsWith('/feed'));
  }

  /** Chunks that were taken, in order: repeated ones are not. */
  readonly accepted: ReceivedForm[] = [];

  #app() {
    const app = express();
    const api = '/api/audio-driven/chunked';
    app.post(
      [`${api}/init`, `${api}/feed`, `${api}/interrupt`],
      multer().any(),
      express.urlencoded(),
      (request, _response, next) => {
        const file = (request.files as Express.Multer.File[] | undefined)?.[0];
        this.forms.push({
          path: request.path,
          fields: { ...request.body },
          file: file && { field: file.fieldname, name: file.originalname, type: file.mimetype, bytes: file.buffer },
        });
        next();
      },
    );
    app.use((_request, response, next) => {
      const mishap = this.mishaps.shift();
      if (!mishap) return next();
      if (mishap === 'hang up') return response.socket?.destroy();
      if (mishap === 'give up') {
        this.#busyRequests = 2;
        return response.socket?.destroy();
      }
      if (mishap === 'answer slowly' || mishap === 'break off') {
        response.send = (body) => {
          const bytes = Buffer.from(body);
          const half = bytes.length >> 1;
          response.set('Content-Length', String(bytes.length)).write(bytes.subarray(0, half));
          if (mishap === 'answer slowly') setTimeout(() => response.end(bytes.subarray(half)), 1000);
          else setTimeout(() => response.socket?.destroy(), 50);
          return response;
        };
        return next();
      }
      if (mishap === 'lose the answer') {
        response.json = () => {
          response.socket?.destroy();
          return response;
        };
        return next();
      }
      response.status(mishap.status).set(mishap.headers ?? {});
      if (typeof mishap.body === 'string') response.type('text/html').send(mishap.body);
      else response.type('application/problem+json').send(JSON.stringify(mishap.body ?? {}));
    });
    app.post(`${api}/init`, (_request, response) => {
      const { session_id: id = 'made-by-the-fake' } = this.forms.at(-1)!.fields;
      if (this.#busy() || this.#sessions.has(id)) return problem(response, 409, 'session_exists');
      this.#sessions.add(id);
      const answer = { status: 'success', session_id: id, hls_url: `/hls/${id}/playlist.m3u8`, message: 'ready' };
      response.json({
        ...answer,
        live: this.forms.at(-1)!.fields.live?.toLowerCase() === 'true',
        multivariant_url: `/hls/${id}/multivariant.m3u8`,
        chunk_duration: 1,
        audio_sample_rate: 24000,
        warnings: ['a centred face is assumed'],
      });
    });
    app.post(`${api}/feed`, (_request, response) => {
      const form = this.forms.at(-1)!;
      const index = form.fields.chunk_index;
      if (index === undefined || !this.#indices.has(index)) {
        if (index !== undefined) this.#indices.add(index);
        this.accepted.push(form);
      }
      this.#final ||= form.fields.is_final_chunk.toLowerCase() === 'true';
      response.json({
        status: 'success',
        session_id: form.fields.session_id,
        buffer_samples: 320,
        frames_generated: this.accepted.length * 25,
        session_status: 'processing',
        message: 'Audio accepted.',
      });
    });
    app.post(`${api}/interrupt`, (_request, response) => {
      response.json({ status: 'success', session_id: this.forms.at(-1)!.fields.session_id, dropped_seconds: 2.5 });
    });
    app.get(`${api}/status/:id`, (request, response) => {
      if (this.#busy() || !this.#sessions.has(request.params.id)) return problem(response, 404, 'session_not_found');
      const state = this.statuses.length > 1 ? this.statuses.shift()! : this.statuses[0];
      response.json({
        session_id: request.params.id,
        total_frames_generated: this.accepted.length * 25,
        buffer_samples: 0,
        error: null,
        created_at: 1,
        uptime_seconds: 1,
        ...(state ?? { status: this.#final ? 'complete' : 'processing' }),
      });
    });
    app.delete(`${api}/session/:id`, (request, response) => {
      this.deleted.push(request.params.id);
      if (!this.#sessions.delete(request.params.id)) return problem(response, 404, 'session_not_found');
      response.json({ status: 'success', message: 'gone' });
    });
    app.get('/api/hls/:id/download', (_request, response) => response.type('video/mp4').send(Buffer.from('an MP4')));
    app.get('/health', (_request, response) => response.json({ status: 'healthy', model_pack: 'fake' }));
    return app;
  }

  #busy(): boolean {
    return this.#busyRequests > 0 && this.#busyRequests-- > 0;
  }
}

function problem(response: Response, status: number, code: string): void {
  response
    .status(status)
    .type('application/problem+json')
    .send(JSON.stringify({ status, code, detail: code }));
}
