import { createServer, type Server, type Socket } from 'node:net';

/** One output of FFmpeg: a Unix socket that FFmpeg connects to and writes. */
export class EncoderOutput {
  readonly #server: Server;
  #socket: Socket | undefined;
  /** Resolves when FFmpeg has written its last byte and every one was handed on, or the output was closed. */
  readonly ended: Promise<void>;
  #settle!: () => void;

  private constructor(server: Server, onData: (chunk: Buffer) => void) {
    this.#server = server;
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
      server.on('connection', (socket) => {
        if (this.#socket) {
          socket.destroy();
          return;
        }
        this.#socket = socket;
        server.close();
        socket.on('data', onData);
        socket.on('error', () => {}); // told by FFmpeg's exit
        socket.on('close', resolve);
      });
    });
  }

  /**
   * @param path where the socket is made; under 100 characters, the least that every system allows.
   * @param onData called with FFmpeg's bytes in order; each chunk is the callee's to keep.
   */
  static async listen(path: string, onData: (chunk: Buffer) => void): Promise<EncoderOutput> {
    const server = createServer();
    const output = new EncoderOutput(server, onData);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    return output;
  }

  close(): void {
    this.#socket?.destroy();
    this.#server.close();
    this.#settle();
  }
}
