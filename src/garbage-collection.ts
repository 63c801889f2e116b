import { setFlagsFromString } from 'node:v8';

/**
 * How far V8's old generation may grow past what was alive after a full collection before the next, in percent. Frames lie
 * outside its heap but count. V8 takes a small heap that lives off them for one with a leak and allows 10 %: with one live
 * session it collected 1.4 times a second, in the thread that serves HTTP. With 400 it does so about twice a minute.
 */
const HEAP_GROWING_PERCENT = 400;

/** Spares the service most full garbage collections, in its own thread and in inference threads started afterwards. */
export function collectSeldom(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
}
