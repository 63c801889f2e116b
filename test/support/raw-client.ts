import { connect, type Socket } from 'node:net';

/** A connection that says what a test wants, be it HTTP or not, and reads only when it is told to. */
export class RawClient {
  readonly socket: Socket;
  /** Resolves when the service has ended the connection, or it broke. */
  readonly closed: Promise<void>;
  #received = '';

  constructor(url: string, text: string | Uint8Array = '') {
    const { hostname, port } = new URL(url);
    this.socket = connect({ host: hostname, port: Number(port) });
    this.socket.on('error', () => {});
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
    if (text.length > 0) this.socket.write(text);
  }

  /** Reads until the connection is ended. @returns all of it */
  async answer(): Promise<string> {
    this.socket.on('data', (piece) => {
      this.#received += piece.toString('latin1');
    });
    await this.closed;
    return this.#received;
  }

  leave(): void {
    this.socket.destroy();
  }
}

/** The beginning of a multipart form to `feed` or `init`, up to the file, of which `bytes` will follow. */
export function uploadHead(verb: 'feed' | 'init', id: string, bytes: number): string {
  const field = verb === 'feed' ? 'audio_chunk' : 'image';
  const form = [
    `--x\r\nContent-Disposition: form-data; name="session_id"\r\n\r\n${id}\r\n`,
    `--x\r\nContent-Disposition: form-data; name="${field}"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n`,
  ].join('');
  const head = [
    `POST /api/audio-driven/chunked/${verb} HTTP/1.1`,
    'Host: facecast',
    'Content-Type: multipart/form-data; boundary=x',
    `Content-Length: ${form.length + bytes + '\r\n--x--\r\n'.length}`,
  ].join('\r\n');
  return `${head}\r\n\r\n${form}`;
}
