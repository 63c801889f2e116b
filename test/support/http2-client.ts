import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from 'node:http2';

/** An answer by HTTP/2, its body whole. */
export interface Http2Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  // biome-ignore lint/suspicious/noExplicitAny: tests assert what is in there
  json(): any;
}

/** One HTTP/2 connection over TLS, as a browser has it: every request is a stream of it. */
export class Http2Client {
  readonly session: ClientHttp2Session;

  constructor(url: string, certificate: Buffer) {
    this.session = connect(url, { ca: certificate });
    this.session.on('error', () => {}); // told by each request
  }

  /** Opens a request; the caller ends it. */
  open(method: string, path: string, headers: Record<string, string> = {}): ClientHttp2Stream {
    return this.session.request({ ':method': method, ':path': path, ...headers }, { endStream: false });
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Http2Answer> {
    return this.send('GET', path, headers);
  }

  async send(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: Uint8Array,
  ): Promise<Http2Answer> {
    const stream = this.session.request({ ':method': method, ':path': path, ...headers }, { endStream: !body });
    if (body) stream.end(body);
    return answerOf(stream);
  }

  /** Sends a form as a browser does. */
  async post(path: string, form: FormData | URLSearchParams): Promise<Http2Answer> {
    const encoded = new Response(form);
    const type = encoded.headers.get('content-type') as string;
    const bytes = new Uint8Array(await encoded.arrayBuffer());
    return this.send('POST', path, { 'content-type': type, 'content-length': String(bytes.length) }, bytes);
  }

  async close(): Promise<void> {
    if (this.session.destroyed) return;
    const closed = once(this.session, 'close');
    this.session.close();
    await closed;
  }
}

/** Waits for the whole answer. @throws when the stream breaks */
async function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }];
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece);
  const body = Buffer.concat(pieces);
  return { status: headers[':status'], headers, body, json: () => JSON.parse(body.toString()) };
}
