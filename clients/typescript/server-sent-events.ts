/** One block of a stream of server-sent events. */
export interface ServerSentEvent {
  /** The last id that was seen, in this block or before; undefined when there was none. */
  readonly id: string | undefined;
  /** Undefined for a block without data, which is no event but may carry an id. */
  readonly data: string | undefined;
}

/**
 * Takes a stream of server-sent events apart (HTML Living Standard, 9.2.5 and 9.2.6): fields of one line each, an empty line
 * behind each event, lines ended by CR, LF or both, comments after a colon. `event` is not told: this service's data say it.
 */
export class ServerSentEventParser {
  readonly #decoder = new TextDecoder();
  #rest = '';
  #id: string | undefined;
  #data: string[] = [];
  #anyField = false;

  /** @returns the events that are complete now */
  push(bytes: Uint8Array): ServerSentEvent[] {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    // A CR at the very end may be half of a CR LF.
    const whole = text.endsWith('\r') ? text.slice(0, -1) : text;
    const lines = whole.split(/\r\n|\n|\r/);
    this.#rest = lines.pop()! + text.slice(whole.length);
    return lines.flatMap((line) => this.#line(line) ?? []);
  }

  #line(line: string): ServerSentEvent | undefined {
    if (line !== '') {
      this.#field(line);
      return undefined;
    }
    const event = { id: this.#id, data: this.#data.length > 0 ? this.#data.join('\n') : undefined };
    const anyField = this.#anyField;
    this.#data = [];
    this.#anyField = false;
    return anyField ? event : undefined;
  }

  #field(line: string): void {
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)!;
    if (name === 'data') this.#data.push(value);
    if (name === 'id' && !value.includes('\0')) this.#id = value;
    this.#anyField ||= name === 'data' || name === 'id';
  }
}
