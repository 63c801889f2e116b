import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DurableTalk, SAMPLES_PER_FRAME, silence, sweep } from './support/durable-talk.js';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const kill = (talk: DurableTalk, signal: NodeJS.Signals = 'SIGKILL') => {
  const pid = talk.encoder.pid as number;
  process.kill(pid, signal);
  return pid;
};
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

/** Looks in every turn of the event loop, because an FFmpeg is replaced within milliseconds. */
async function until(condition: () => boolean): Promise<void> {
  for (const start = Date.now(); !condition(); ) {
    if (Date.now() - start > 20_000) throw new Error('It never came to that.');
    await new Promise(setImmediate);
  }
}

/** Root mean square of what the decoded sound and the written one differ in, in thousandths of full scale. */
function difference(decoded: Int16Array, written: Float32Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += (decoded[i] / 32767 - written[i]) ** 2;
  return 1000 * Math.sqrt(sum / (to - from));
}

/** The shift, in samples, at which the decoded sound is most like the written one. */
function lag(decoded: Int16Array, written: Float32Array, from: number, to: number): number {
  const differences = Array.from({ length: 41 }, (_, i) =>
    difference(decoded.subarray(i), written.subarray(20), from, to),
  );
  return differences.indexOf(Math.min(...differences)) - 20;
}

afterEach(() => DurableTalk.closeAll());

describe('DurableEncoder', () => {
  it('goes on after a kill with the first frame that is in no part: each frame once, the sound in its place', async () => {
    const written = sweep(10);
    const talk = await DurableTalk.open(written);
    for (const [i, frames] of [60, 70, 55].entries()) {
      for (let n = 0; n < frames; n += 5) await talk.write(5);
      expect(talk.firstFrames).toHaveLength(i + 1);
      if (i < 2) kill(talk);
    }
    await talk.end();
    await talk.encoder.close();

    expect(talk.errors).toEqual([]);
    expect(talk.encoder.framesWritten).toBe(185);
    expect(talk.firstFrames).toHaveLength(3);
    // Something was settled by each, so each restart was in mid-talk.
    expect(talk.firstFrames[1]).toBeGreaterThanOrEqual(40);
    expect(talk.firstFrames[2]).toBeGreaterThanOrEqual(100);
    expect(talk.frameNumbers()).toEqual(upTo(185));

    // Packet by packet, a decoder that goes on gets what was written, as near as AAC is to it: single packets are off by 20.
    // Only the very first one lacks the one before it.
    const sound = talk.sound();
    const off = (packet: number) => difference(sound, written, 1024 * packet, 1024 * (packet + 1));
    for (let packet = 1; packet < Math.floor((185 * SAMPLES_PER_FRAME) / 1024); packet++) {
      expect(off(packet)).toBeLessThan(30);
    }
    // And it hears no seam.
    for (const firstFrame of talk.firstFrames.slice(1)) {
      expect(off(Math.ceil((firstFrame * SAMPLES_PER_FRAME) / 1024))).toBeLessThan(15);
    }
    for (const [i, firstFrame] of talk.firstFrames.entries()) {
      const from = firstFrame * SAMPLES_PER_FRAME + 1024;
      expect(lag(sound, written, from, (talk.firstFrames[i + 1] ?? 185) * SAMPLES_PER_FRAME - 1024)).toBe(0);
    }
  });

  it('keeps no more than what is on its way into a part', async () => {
    const talk = await DurableTalk.open(silence(11));
    for (let n = 0; n < 250; n += 5) {
      await talk.write(5);
      if (n === 120) kill(talk);
    }
    // 8 that may wait for FFmpeg, a dozen of these small ones in its socket, 4 in its own queue, what it is at, up to 5 in
    // the part being filled, 10 whose sound comes first, 5 just written.
    expect(talk.mostKept).toBeLessThanOrEqual(120);
    await talk.end();
    expect(talk.encoder.framesKept).toBe(0);
    await talk.encoder.close();
    expect(talk.frameNumbers()).toEqual(upTo(250));
  });

  it('replaces an FFmpeg that dies before its first packet', async () => {
    const talk = await DurableTalk.open(silence(3));
    kill(talk);
    talk.put(40);
    await talk.end();
    await talk.encoder.close();
    expect(talk.firstFrames).toEqual([0, 0]);
    expect(talk.frameNumbers()).toEqual(upTo(40));
  });

  it('queues what is written while there is no FFmpeg', async () => {
    const talk = await DurableTalk.open(silence(6));
    await talk.write(20);
    kill(talk);
    await until(() => talk.encoder.pid === undefined);
    talk.put(50);
    talk.put(30);
    await talk.encoder.drained();
    await talk.end();
    await talk.encoder.close();
    expect(talk.frameNumbers()).toEqual(upTo(100));
  });

  it('replaces an FFmpeg that dies while the talk is being ended, twice', async () => {
    const talk = await DurableTalk.open(silence(12));
    talk.put(200);
    const ended = talk.end();
    kill(talk);
    await until(() => talk.firstFrames.length === 2);
    kill(talk);
    await ended;
    await talk.encoder.close();
    expect(talk.firstFrames).toHaveLength(3);
    expect(talk.frameNumbers()).toEqual(upTo(200));
  });

  it('replaces an FFmpeg that dies when everything is settled', async () => {
    const talk = await DurableTalk.open(silence(4));
    await talk.write(50, 20);
    await until(() => talk.encoder.framesKept === 0);
    kill(talk);
    await talk.end();
    await talk.encoder.close();
    expect(talk.errors).toEqual([]);
    expect(talk.frameNumbers()).toEqual(upTo(50));
  });

  it('replaces an FFmpeg that hangs, but not one that waits for sound', async () => {
    const talk = await DurableTalk.open(silence(9), { stallSeconds: 0.8 });
    await talk.write(30, 0);
    await pause(1600);
    expect(talk.firstFrames).toHaveLength(1);
    await talk.write(30);
    const hung = kill(talk, 'SIGSTOP');
    talk.put(80);
    await talk.encoder.drained();
    expect(talk.firstFrames).toHaveLength(2);
    expect(JSON.stringify(talk.logged)).toContain('encoder hung');
    await talk.end();
    await talk.encoder.close();
    expect(existsSync(`/proc/${hung}`)).toBe(false);
    expect(talk.frameNumbers()).toEqual(upTo(140));
  });

  it('replaces an FFmpeg that hangs while the talk is being ended', async () => {
    const talk = await DurableTalk.open(silence(6), { stallSeconds: 0.8 });
    talk.put(100);
    kill(talk, 'SIGSTOP');
    await talk.end();
    await talk.encoder.close();
    expect(talk.firstFrames).toHaveLength(2);
    expect(talk.frameNumbers()).toEqual(upTo(100));
  });

  it('gives up after the third death in a row, tells once, and wakes those who wait', async () => {
    const talk = await DurableTalk.open(silence(21));
    talk.put(500);
    const waiting = expect(talk.encoder.drained()).rejects.toMatchObject({ code: 'internal' });
    for (let death = 1; death <= 3; death++) {
      await until(() => talk.firstFrames.length === death && talk.encoder.pid !== undefined);
      kill(talk);
    }
    await waiting;
    await expect(talk.encoder.end()).rejects.toMatchObject({ message: 'The encoder stopped unexpectedly.' });
    expect(talk.errors).toHaveLength(1);
    expect(String(talk.errors[0].cause)).toContain('SIGKILL');
    talk.put(10);
    expect([talk.encoder.framesKept, talk.encoder.pid]).toEqual([0, undefined]);
    await talk.encoder.close();
  });

  it('can be closed while FFmpeg is being replaced', async () => {
    const handles = () => readdirSync('/proc/self/fd').length;
    const before = handles();
    for (const wait of [0, 20]) {
      const talk = await DurableTalk.open(silence(4));
      talk.put(50);
      const waiting = expect(talk.encoder.drained()).rejects.toMatchObject({ code: 'session_closed' });
      const first = kill(talk);
      await until(() => talk.encoder.pid === undefined);
      await pause(wait);
      const second = talk.encoder.pid;
      await Promise.all([talk.encoder.close(), talk.encoder.close()]);
      await waiting;
      for (const pid of [first, second]) expect(pid !== undefined && existsSync(`/proc/${pid}`)).toBe(false);
      await expect(talk.encoder.drained()).rejects.toMatchObject({ code: 'session_closed' });
      expect(talk.errors).toEqual([]);
    }
    await pause(50);
    expect(handles()).toBeLessThanOrEqual(before);
  });

  it('refuses a piece of a frame', async () => {
    const talk = await DurableTalk.open(silence(1));
    expect(() => talk.encoder.writeFrames(new Uint8Array(100))).toThrow(RangeError);
    await talk.encoder.close();
  });
});

describe('DurableEncoder with another program', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'facecast-program-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** A program that is FFmpeg but for some lines of shell before. */
  function program(...lines: string[]): string {
    const path = join(folder, 'ffmpeg');
    writeFileSync(path, ['#!/bin/bash', `cd ${folder}`, ...lines, 'exec ffmpeg "$@"'].join('\n'), { mode: 0o755 });
    return path;
  }

  it('does not open without FFmpeg', async () => {
    const opening = DurableTalk.open(silence(1), { program: join(folder, 'nothing') });
    await expect(opening).rejects.toMatchObject({ code: 'internal' });
  });

  it('gives up when FFmpeg cannot be started again', async () => {
    const path = program();
    const talk = await DurableTalk.open(silence(4), { program: path });
    await talk.write(30);
    rmSync(path);
    kill(talk);
    await until(() => talk.errors.length > 0);
    expect(String(talk.errors[0].cause)).toContain('ENOENT');
    await expect(talk.encoder.drained()).rejects.toMatchObject({ code: 'internal' });
    await talk.encoder.close();
    expect(talk.firstFrames).toHaveLength(1);
  });

  it('tries again when FFmpeg could not be started once', async () => {
    // The second start fails, the first and the third do not.
    const path = program('echo >> starts', '[ $(wc -l < starts) = 2 ] && exit 1');
    const talk = await DurableTalk.open(silence(4), { program: path });
    await talk.write(30);
    kill(talk);
    await until(() => talk.encoder.pid === undefined);
    await talk.write(30);
    await talk.end();
    await talk.encoder.close();
    expect(execFileSync('wc', ['-l', join(folder, 'starts')]).toString()).toMatch(/^3 /);
    expect(talk.frameNumbers()).toEqual(upTo(60));
  });

  it('does not trust an FFmpeg that ends well with frames missing', async () => {
    // The first FFmpeg is told to make 30 pictures and no more.
    const path = program(
      'for word in "$@"; do shift; set -- "$@" "$word"; [ ! -e once ] && [ "$word" = libx264 ] && set -- "$@" -frames:v 30; done',
      'touch once',
    );
    const talk = await DurableTalk.open(silence(4), { program: path });
    talk.put(60);
    await talk.end();
    await talk.encoder.close();
    expect(talk.firstFrames).toHaveLength(2);
    expect(talk.frameNumbers()).toEqual(upTo(60));
  });
});
