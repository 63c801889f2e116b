import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { CANONICAL_FACE } from '../../src/avatar/canonical-face.js';
import { cropToFace } from '../../src/avatar/crop.js';
import { FaceAnalyser } from '../../src/avatar/face.js';
import type { RgbImage } from '../../src/avatar/image.js';
import { decodePortrait } from '../../src/avatar/portrait.js';
import {
  analysePortrait as analyseInParts,
  type IdentityTensors,
  type PortraitSource,
} from '../../src/avatar/portrait-analyser/analyser.js';

const PACK = resolve(__dirname, '../../models/portrait');
export const RENDERER = resolve(PACK, 'renderer.onnx');
/** The sample portrait of the web page: a closed mouth, spectacles, a hat. */
export const SAMPLE = resolve(__dirname, '../../clients/web/samples/portrait.jpg');

/** A portrait file as the service would hand it to the analyser. */
export async function sourceOf(path: string): Promise<PortraitSource> {
  const paths = { detector: resolve(PACK, 'face_detector.onnx'), mesh: resolve(PACK, 'face_mesh.onnx') };
  const analyser = await FaceAnalyser.load(paths, { threads: 1 });
  try {
    const image = await decodePortrait(readFileSync(path));
    const [face] = await analyser.analyse(image);
    return cropToFace(image, face, { size: 512, crop: true, scale: 1.2 });
  } finally {
    await analyser.close();
  }
}

/** All parts of a portrait's analysis, one after the other. */
export function analysePortrait(source: PortraitSource): IdentityTensors {
  const parts = analyseInParts(source);
  for (;;) {
    const part = parts.next();
    if (part.done) return part.value;
  }
}

/** The mean face `height` pixels tall around a point, upright and seen from the front. */
export function meanFace(x: number, y: number, height: number): Float32Array {
  return Float32Array.from(CANONICAL_FACE, (v, i) => (v / 1000) * height + [x, y, 0][i % 3]);
}

/** A picture whose colour is a function of the position. */
export function paint(colour: (x: number, y: number) => readonly [number, number, number]): RgbImage {
  const data = new Uint8Array(512 * 512 * 3);
  for (let y = 0; y < 512; y++) for (let x = 0; x < 512; x++) data.set(colour(x, y), (y * 512 + x) * 3);
  return { width: 512, height: 512, data };
}

/** A landmark's place in the picture. */
export function landmark(source: PortraitSource, index: number): { x: number; y: number } {
  return { x: source.landmarks[index * 3], y: source.landmarks[index * 3 + 1] };
}

/** The outer-eye distance in pixels. */
export function unitOf(source: PortraitSource): number {
  const p = source.landmarks;
  return Math.hypot(p[33 * 3] - p[263 * 3], p[33 * 3 + 1] - p[263 * 3 + 1], p[33 * 3 + 2] - p[263 * 3 + 2]);
}
