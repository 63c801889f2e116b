// HTTP as a player or a program would speak it: connections kept open, no more work than needed on a machine under test.
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { gunzipSync } from 'node:zlib';
import { readEvents } from '../server-sent-events.mjs';

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
  #apiKey;

  /**
   * @param url of the service, without a slash at its end; a path in front of its own (a reverse proxy's) is kept
   * @param apiKey sent with calls of the API and to `/metrics`, and not with streams: players send none
   */
  constructor(url, apiKey) {
    this.url = url;
    this.#apiKey = apiKey;
    this.#agent = url.startsWith('https:') ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
  }

  /** The whole address of one of the service's paths, or of what it names beside it. */
  addressOf(path, beside = '/') {
    return path.startsWith('/') ? this.url + path : new URL(path, this.url + beside).href;
  }

  /**
   * @param path one of the service's, or a whole address
   * @returns `{status, headers, body}`, a Buffer; gzip is undone
   * @throws Error when there is no whole answer
   */
  send(path, { method = 'GET', headers = {}, body, signal } = {}) {
    const url = new URL(/^https?:/.test(path) ? path : this.addressOf(path));
    const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const options = { method, headers: { ...this.#key(path), ...headers }, agent: this.#agent, signal };
    return new Promise((resolve, reject) => {
      const sent = request(url, { ...options, timeout: PATIENCE_MILLISECONDS });
      sent.once('timeout', () => sent.destroy(new Error(`${path} did not answer within 30 s.`)));
      sent.once('error', (error) => reject(unreachable(this.url, error)));
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
    const path = `${CHUNKED}/events/${id}`;
    const answer = await fetch(this.addressOf(path), { headers: this.#key(path), signal });
    for await (const event of readEvents(answer)) onEvent(event);
  }

  #key(path) {
    const asked = path.startsWith(CHUNKED) || path === '/metrics';
    return this.#apiKey !== undefined && asked ? { authorization: `Bearer ${this.#apiKey}` } : {};
  }

  close() {
    this.#agent.destroy();
  }
}

/** A path with one more query, whether it has one already, as a signed one has, or not. */
export function withQuery(path, query) {
  return path + (path.includes('?') ? '&' : '?') + query;
}

const NOT_TRUSTED = ['DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'];

/** The same error, said with what to do where that is known. */
function unreachable(url, error) {
  if (error.code === 'ECONNREFUSED') return new Error(`${url}: nobody listens there.`, { cause: error });
  if (error.code === 'ENOTFOUND') return new Error(`${url}: there is no such host.`, { cause: error });
  if (!NOT_TRUSTED.includes(error.code)) return error;
  const words = `${url}: its certificate is not trusted; NODE_EXTRA_CA_CERTS=certificate.pem in front has it trusted.`;
  return new Error(words, { cause: error });
}

function refusal(path, { status, body }) {
  try {
    const { code = String(status), detail = '' } = JSON.parse(body);
    return new Refused(path, status, code, detail);
  } catch {
    return new Refused(path, status, String(status), body.toString().slice(0, 200));
  }
}
