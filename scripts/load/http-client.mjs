// HTTP as a player or a program would speak it: connections kept open, no more work than needed on a machine under test.
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { gunzipSync } from 'node:zlib';

const CHUNKED = '/api/audio-driven/chunked';
/** Longer than any answer may wait. */
const PATIENCE_MILLISECONDS = 30_000;

/** An answer that says no. */
export class Refused extends Error {
  /** @param code of the problem details, or the HTTP status as a text */
  constructor(path, status, code, detail) {
    super(`${path} answered ${status} ${code}: ${detail}`);
    this.status = status;
    this.code = code;
  }
}

/** One client's connections to a service. */
export class HttpClient {
  #agent;

  /** @param url the service's origin, without a slash at its end */
  constructor(url) {
    this.url = url;
    this.#agent = url.startsWith('https:') ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
  }

  /** @returns `{status, headers, body}`, a Buffer; gzip is undone. @throws Error when there is no whole answer */
  send(path, { method = 'GET', headers = {}, body, signal } = {}) {
    const url = new URL(path, `${this.url}/`);
    const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const sent = request(url, { method, headers, agent: this.#agent, signal, timeout: PATIENCE_MILLISECONDS });
      sent.once('timeout', () => sent.destroy(new Error(`${path} did not answer within 30 s.`)));
      sent.once('error', reject);
      sent.once('response', (response) => {
        const pieces = [];
        response.on('data', (piece) => pieces.push(piece));
        response.once('error', reject);
        response.once('end', () => {
          const whole = Buffer.concat(pieces);
          const zipped = response.headers['content-encoding'] === 'gzip';
          resolve({ status: response.statusCode, headers: response.headers, body: zipped ? gunzipSync(whole) : whole });
        });
      });
      sent.end(body);
    });
  }

  /** The bytes behind a path. @throws Refused */
  async get(path, options) {
    const answer = await this.send(path, options);
    if (answer.status !== 200) throw refusal(path, answer);
    return answer.body;
  }

  /**
   * A call of the chunked API.
   * @param fields of the form; `{name, bytes, type}` is a file
   * @throws Refused
   */
  async post(call, fields) {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) {
      if (value?.bytes) form.set(name, new Blob([value.bytes], { type: value.type }), value.name);
      else form.set(name, String(value));
    }
    const encoded = new Response(form);
    const headers = { 'content-type': encoded.headers.get('content-type') };
    const body = Buffer.from(await encoded.arrayBuffer());
    const path = `${CHUNKED}/${call}`;
    const answer = await this.send(path, {
      method: 'POST',
      headers: { ...headers, 'content-length': body.length },
      body,
    });
    if (answer.status !== 200) throw refusal(path, answer);
    return JSON.parse(answer.body);
  }

  async deleteSession(id) {
    const path = `${CHUNKED}/session/${id}`;
    const answer = await this.send(path, { method: 'DELETE' });
    if (answer.status !== 200) throw refusal(path, answer);
  }

  /** What happens in a live session, as it comes; ends with it. */
  async follow(id, onEvent, signal) {
    const response = await fetch(`${this.url}${CHUNKED}/events/${id}`, { signal });
    if (!response.ok || !response.body) throw new Error(`events answered ${response.status}`);
    let text = '';
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (text + piece).split('\n\n');
      text = blocks.pop();
      for (const block of blocks) {
        const data = /^data: ?(.*)$/m.exec(block)?.[1];
        if (data) onEvent(JSON.parse(data));
      }
    }
  }

  close() {
    this.#agent.destroy();
  }
}

function refusal(path, { status, body }) {
  try {
    const { code = String(status), detail = '' } = JSON.parse(body);
    return new Refused(path, status, code, detail);
  } catch {
    return new Refused(path, status, String(status), body.toString().slice(0, 200));
  }
}
