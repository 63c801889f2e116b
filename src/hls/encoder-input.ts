import { createServer, type Server, type Socket } from 'node:net';

/**
 * One raw input of FFmpeg: a Unix socket that FFmpeg connects to and reads. Bytes written before it connects wait here,
 * and a write never blocks.
 */
export class EncoderInput {
  readonly #server: Server;
  readonly #onTaken: () => void;
  #socket: Socket | undefined;
  #waiting: Uint8Array[] = [];
  #queuedBytes = 0;
  #ended = false;

  private constructor(server: Server, onTaken: () => void) {
    this.#server = server;
    this.#onTaken = onTaken;
  }

  /**
   * @param path where the socket is made; under 100 characters, the least that every system allows.
   * @param onTaken called whenever FFmpeg has taken a write.
   */
  static async listen(path: string, onTaken: () => void): Promise<EncoderInput> {
    const server = createServer();
    const input = new EncoderInput(server, onTaken);
    server.on('connection', (socket) => input.#connect(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    return input;
  }

  /** Bytes written here that FFmpeg's side has not taken yet. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Queues bytes, which must not be changed afterwards. */
  write(bytes: Uint8Array): void {
    if (this.#ended || bytes.byteLength === 0) return;
    this.#queuedBytes += bytes.byteLength;
    if (this.#socket) this.#send(this.#socket, bytes);
    else this.#waiting.push(bytes);
  }

  /** End of the stream, once everything queued has been taken. */
  end(): void {
    this.#ended = true;
    this.#socket?.end();
  }

  close(): void {
    this.#ended = true;
    this.#waiting = [];
    this.#socket?.destroy();
    this.#server.close();
  }

  #connect(socket: Socket): void {
    if (this.#socket) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    this.#server.close();
    // A dead FFmpeg is told by its exit; its broken pipe says nothing more.
    socket.on('error', () => {});
    // FFmpeg writes nothing here, but its end is only seen by reading.
    socket.resume();
    for (const bytes of this.#waiting) this.#send(socket, bytes);
    this.#waiting = [];
    if (this.#ended) socket.end();
  }

  #send(socket: Socket, bytes: Uint8Array): void {
    socket.write(bytes, (error) => {
      // FFmpeg is gone and nobody has taken it, though Node names no error for a write that its socket's end cut off. Whoever
      // waits is told by FFmpeg's exit.
      if (error || socket.destroyed) return;
      this.#queuedBytes -= bytes.byteLength;
      this.#onTaken();
    });
  }
}
