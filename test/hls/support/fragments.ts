import { createFile, type ISOFile, type Movie, MP4BoxBuffer, type Sample } from 'mp4box';

/** What mp4box makes of an init segment and the fragments after it. */
export interface Fragments {
  readonly file: ISOFile;
  readonly movie: Movie;
  readonly boxes: readonly string[];
  /** In decoding order, each with its bytes. */
  readonly video: readonly Sample[];
  readonly sound: readonly Sample[];
}

/** @throws Error when mp4box does not understand the bytes */
export function readFragments(init: Uint8Array, fragments: readonly Uint8Array[]): Fragments {
  const file = createFile();
  const samples: Record<number, Sample[]> = { 1: [], 2: [] };
  let movie: Movie | undefined;
  file.onError = (_module, message) => {
    throw new Error(message);
  };
  file.onSamples = (id, _user, found) => samples[id]!.push(...found);
  file.onReady = (found) => {
    movie = found;
    for (const id of [1, 2]) file.setExtractionOptions(id, undefined, { nbSamples: 1 });
    file.start();
  };
  let offset = 0;
  for (const bytes of [init, ...fragments]) {
    file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(Uint8Array.from(bytes).buffer, offset));
    offset += bytes.byteLength;
  }
  file.flush();
  if (!movie) throw new Error('mp4box found no movie.');
  const boxes = file.boxes.map(({ type }) => type as string);
  return { file, movie, boxes, video: samples[1]!, sound: samples[2]! };
}

/** Types of the NAL units of an H.264 sample, each behind four bytes of length. */
export function nalTypes(data: Uint8Array): number[] {
  const view = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const types: number[] = [];
  for (let at = 0; at + 4 < view.length; at += 4 + view.readUInt32BE(at)) types.push(view[at + 4]! & 31);
  return types;
}
