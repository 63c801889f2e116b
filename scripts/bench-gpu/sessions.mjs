// How many talks the service's own engine holds: windows of speech to frames, as fast as they come, several at the same
// time. The encoder (FFmpeg) is left out: it runs on the CPU and has nothing to do with the model.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { gpuMemory } from './nvidia-smi.mjs';
import { processTree, residentMegabytes } from './processes.mjs';
import { runStage } from './stage.mjs';

const root = resolve(import.meta.dirname, '../..');
const { AudioChunkBuffer } = await import(join(root, 'dist/audio/audio-chunk-buffer.js'));
const { decodeAudioChunk } = await import(join(root, 'dist/audio/decode.js'));
const { Resampler } = await import(join(root, 'dist/audio/resampler.js'));
const { decodePortrait } = await import(join(root, 'dist/avatar/portrait.js'));
const { startEngine } = await import(join(root, 'dist/inference/start-engine.js'));
const { createLogger } = await import(join(root, 'dist/log.js'));

/** Frames of one call to `render`, as in src/session/session.ts. */
const RENDER_BATCH = 5;

runStage(async ({ precision, directory, device, sessions, talkSeconds }, progress) => {
  const memory = [];
  const note = async (step) => {
    const pids = await processTree(process.pid);
    memory.push({ step, gpu: await gpuMemory(pids), residentMegabytes: await residentMegabytes(pids) });
  };
  await note('before loading');
  progress(`starting the engine with ${precision}: ${directory}`);
  const start = performance.now();
  const engine = await startEngine({
    packDirectory: directory,
    device,
    workers: 1,
    batchFrames: undefined,
    script: join(root, 'dist/inference/worker.js'),
    logger: createLogger('warn'),
  });
  const startSeconds = (performance.now() - start) / 1000;
  await note(`loaded and warm, largest batch ${engine.description.batchFrames}`);
  const material = {
    engine,
    portrait: await readFile(join(root, 'clients/web/samples/portrait.jpg')),
    speech: await speech(),
  };
  const talks = [];
  for (const count of sessions) {
    progress(`${count} session(s) talk for ${talkSeconds} s`);
    const opened = performance.now();
    const avatars = await openAvatars(material, count);
    const openSeconds = (performance.now() - opened) / 1000 / count;
    if (count === sessions.at(-1)) await note(`${count} sessions open`);
    talks.push({ sessions: count, openSeconds, ...(await talkAll(material, avatars, talkSeconds)) });
    if (count === sessions.at(-1)) await note(`${count} sessions have talked`);
    for (const avatar of avatars) await avatar.close();
  }
  const { gpus } = engine;
  await engine.close();
  const held = talks.findLast(({ slowest }) => slowest >= 25)?.sessions ?? 0;
  return { startSeconds, batchFrames: engine.description.batchFrames, gpus, memory, talks, held };
});

/** The sample recording at 16 kHz, in parts. */
async function speech() {
  const path = join(root, 'clients/web/samples/speech.wav');
  const pcm = await decodeAudioChunk(await readFile(path), { contentType: '', fileName: path, sampleRate: 24000 });
  const resampler = new Resampler(16000);
  const parts = [await resampler.push(pcm.samples, pcm.sampleRate), await resampler.flush()];
  resampler.close();
  return parts;
}

async function openAvatars({ engine, portrait }, count) {
  const avatars = [];
  for (let seed = 0; seed < count; seed++) {
    // Decoded for each, because the engine takes the picture away.
    avatars.push(await engine.open(await decodePortrait(portrait), { crop: true, seed, nfe: 10, cfgScale: 2 }));
  }
  return avatars;
}

async function talkAll(material, avatars, seconds) {
  const start = Date.now();
  const rates = await Promise.all(avatars.map((avatar) => talk(material, avatar, start, seconds)));
  return {
    framesPerSecond: rates.reduce((sum, rate) => sum + rate, 0),
    slowest: Math.min(...rates),
    fastest: Math.max(...rates),
  };
}

/** Speaks until the time is over, as a session does. @returns frames per second */
async function talk({ engine, speech: samples }, avatar, start, seconds) {
  const { contextFrames, batchFrames } = engine.description;
  const windows = new AudioChunkBuffer({ chunkDurationSeconds: 1, contextFrames });
  const ahead = Math.ceil(batchFrames / RENDER_BATCH);
  const dueAt = (frame) => start + frame * 40;
  let frames = 0;
  let last = start;
  while (last < start + seconds * 1000) {
    let window = windows.next();
    while (!window) {
      for (const part of samples) windows.push(part.slice());
      window = windows.next();
    }
    const motion = await avatar.generateMotion(window, dueAt(window.startFrame));
    const pieces = cut(motion);
    const drawings = [];
    for (const [i, piece] of pieces.entries()) {
      for (const next of pieces.slice(i + drawings.length, i + 1 + ahead)) {
        const drawing = avatar.render(next, dueAt(next.startFrame));
        drawing.catch(() => undefined);
        drawings.push(drawing);
      }
      await drawings.shift();
      last = Date.now();
      if (last >= start + seconds * 1000) {
        await Promise.all(drawings);
        break;
      }
      frames += piece.frames;
    }
  }
  return frames / seconds;
}

function cut({ startFrame, frames, tokens }) {
  const width = tokens.length / frames;
  return Array.from({ length: Math.ceil(frames / RENDER_BATCH) }, (_, i) => {
    const at = i * RENDER_BATCH;
    const count = Math.min(RENDER_BATCH, frames - at);
    return { startFrame: startFrame + at, frames: count, tokens: tokens.slice(at * width, (at + count) * width) };
  });
}
