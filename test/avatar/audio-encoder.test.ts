import { AudioChunkBuffer } from '../../src/audio/audio-chunk-buffer.js';
import { AudioEncoder, commonLengths } from '../../src/avatar/audio-encoder.js';
import type { OnnxModel, Tensor } from '../../src/inference/onnx-model.js';

/** Feature of a frame: its first sample. Notes how many frames it heard. */
function listener(heard: number[]): OnnxModel {
  const run = async ({ waveform }: Record<string, Tensor>) => {
    const frames = waveform!.data.length / 640;
    heard.push(frames);
    const data = Float32Array.from({ length: frames }, (_, i) => Number(waveform!.data[i * 640]));
    return { features: { data, dims: [1, frames, 1] } };
  };
  return { inputs: [], run } as unknown as OnnxModel;
}

/** A window whose frame n, counted from its head, has the value n. */
function window(contextFrames: number, frames: number) {
  const waveform = new Float32Array((contextFrames + frames) * 640);
  for (let i = 0; i < contextFrames + frames; i++) waveform.fill(i, i * 640, (i + 1) * 640);
  return { startFrame: contextFrames, frames, overlapFrames: 0, contextFrames, waveform };
}

it.each([
  // context, frames, heard
  [0, 25, 25],
  [20, 25, 45],
  // A pack that asks for little context gets all of it.
  [20, 13, 33],
  [50, 13, 63],
  [150, 25, 175],
  // Where there is plenty, the oldest frames are spared for a length that the GPU knows.
  [150, 13, 160],
  [60, 7, 65],
])(
  'with %i frames of context, of a window of %i frames it hears %i and answers the window',
  async (context, frames, expected) => {
    const heard: number[] = [];
    const features = await new AudioEncoder(listener(heard), 'none').encode(window(context, frames));
    expect(heard).toEqual([expected]);
    expect([...features]).toEqual(Array.from({ length: frames }, (_, i) => context + i));
  },
);

it('knows the lengths that talks of one-second windows bring, but for the ends of short ones', async () => {
  const heard: number[] = [];
  const encoder = new AudioEncoder(listener(heard), 'none');
  for (const { contextFrames, frames } of commonLengths(150, 25)) await encoder.encode(window(contextFrames, frames));
  const known = new Set(heard);
  for (let talk = 1; talk <= 250; talk++) {
    const windows = new AudioChunkBuffer({ chunkDurationSeconds: 1, contextFrames: 150 });
    windows.push(new Float32Array(talk * 640));
    windows.finish();
    heard.length = 0;
    for (let next = windows.next(); next; next = windows.next()) await encoder.encode(next);
    const last = heard.pop()!;
    expect(heard.filter((length) => !known.has(length))).toEqual([]);
    if (talk > 85) expect(known).toContain(last);
  }
});
