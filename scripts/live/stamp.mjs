// Loaded before the service (`node --import`, from a parent with an IPC channel): the real service, whose frames carry a time
// code. With TELL_FRAMES it tells the parent of each frame when it is handed to the encoder:
// {session, position, frame, drawnAt, handedAt, click?}.
import { HlsStream } from '../../dist/hls/hls-stream.js';
import { WorkerEngine } from '../../dist/inference/worker-engine.js';
import { clock, StampingAvatar } from './stamping.mjs';
import { readCode } from './time-code.mjs';

let sessions = 0;
const { open } = WorkerEngine.prototype;
WorkerEngine.prototype.open = async function openStamped(...request) {
  // Before the wait, so that sessions are numbered in the order they were asked for.
  const session = sessions++;
  return new StampingAvatar(await open.apply(this, request), this.description, session);
};

// A live session goes on for ever: it must not outlive the parent, however that ends.
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.channel?.unref();

const { writeFrames } = HlsStream.prototype;
if (process.env.TELL_FRAMES) {
  HlsStream.prototype.writeFrames = function writeFramesAndTell(i420, count) {
    const handedAt = clock();
    const position = this.framesWritten;
    writeFrames.call(this, i420, count);
    const bytes = i420.byteLength / count;
    for (let i = 0; i < count; i++) {
      const code = readCode(i420.subarray(i * bytes), widthOf(bytes));
      if (code && process.connected) process.send({ ...code, position: position + i, handedAt });
    }
  };
}

/** Frames are square. */
function widthOf(bytes) {
  return Math.round(Math.sqrt((bytes * 2) / 3));
}
