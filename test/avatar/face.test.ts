import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import sharp from 'sharp';
import { cropToFace } from '../../src/avatar/crop.js';
import { type Face, FaceAnalyser, sizeOf } from '../../src/avatar/face.js';
import type { RgbImage } from '../../src/avatar/image.js';
import { decodePortrait } from '../../src/avatar/portrait.js';
import { dataPath, describeWithData } from '../support/data.js';

const PORTRAITS = [
  'source_2.png',
  'source_3.jpg',
  'source_5.png',
  'source_7.png',
  'source_8.png',
  'source_9.png',
  'source_10.png',
];

let analyser: FaceAnalyser;

beforeAll(async () => {
  const pack = resolve(__dirname, '../../models/portrait');
  const paths = { detector: resolve(pack, 'face_detector.onnx'), mesh: resolve(pack, 'face_mesh.onnx') };
  analyser = await FaceAnalyser.load(paths, { threads: 1 });
});

afterAll(() => analyser.close());

function portraitBytes(name: string): Buffer {
  return readFileSync(dataPath(`portraits/${name}`));
}

function point({ landmarks }: Face, index: number): { x: number; y: number; z: number } {
  const [x, y, z] = landmarks.subarray(index * 3, index * 3 + 3);
  return { x, y, z };
}

/** The landmarks as they should lie on any upright face, whoever's it is. */
function expectSaneFace(face: Face, image: RgbImage): void {
  const unit = sizeOf(face.box);
  expect(face.score).toBeGreaterThan(0.5);
  expect(face.score).toBeLessThanOrEqual(1);
  expect(face.landmarks).toHaveLength(468 * 3);
  for (let i = 0; i < 468; i++) {
    const { x, y, z } = point(face, i);
    // The forehead reaches over the box, the mesh's outermost cheeks nearly do.
    expect(x).toBeGreaterThan(face.box.x - 0.05 * unit);
    expect(x).toBeLessThan(face.box.x + face.box.width + 0.05 * unit);
    expect(y).toBeGreaterThan(face.box.y - 0.3 * unit);
    expect(y).toBeLessThan(face.box.y + face.box.height + 0.1 * unit);
    expect(Math.abs(z)).toBeLessThan(unit);
    expect(x > 0 && y > 0 && x < image.width && y < image.height).toBe(true);
  }
  const [leftEye, rightEye] = [point(face, 33), point(face, 263)];
  const [leftCorner, rightCorner] = [point(face, 61), point(face, 291)];
  const [forehead, nose, upperLip, lowerLip, chin] = [10, 1, 13, 14, 152].map((i) => point(face, i));
  const eyeY = (leftEye.y + rightEye.y) / 2;
  const order = [forehead.y, eyeY, nose.y, upperLip.y, lowerLip.y, chin.y];
  for (let i = 1; i < order.length; i++) expect(order[i]).toBeGreaterThanOrEqual(order[i - 1]);
  expect(leftEye.x).toBeLessThan(nose.x);
  expect(nose.x).toBeLessThan(rightEye.x);
  expect(leftCorner.x).toBeLessThan(rightCorner.x);
  // Nearly symmetric: the mouth's middle lies under the eyes' middle, and each half is about as wide.
  const eyes = Math.hypot(rightEye.x - leftEye.x, rightEye.y - leftEye.y);
  expect(Math.abs(leftCorner.x + rightCorner.x - leftEye.x - rightEye.x) / 2).toBeLessThan(0.3 * eyes);
  expect((rightCorner.x - leftCorner.x) / eyes).toBeGreaterThan(0.35);
  expect((rightCorner.x - leftCorner.x) / eyes).toBeLessThan(0.95);
  expect((chin.y - forehead.y) / eyes).toBeGreaterThan(1.2);
  expect((chin.y - forehead.y) / eyes).toBeLessThan(2.2);
  // The nose is nearer than the ears.
  expect(nose.z).toBeLessThan(Math.min(point(face, 234).z, point(face, 454).z));
}

/** How far apart two faces' landmarks lie, root mean square, in units of the first one's eye distance. */
function distance(a: Face, b: Face, map: (x: number, y: number) => [number, number]): number {
  const [left, right] = [point(a, 33), point(a, 263)];
  let sum = 0;
  for (let i = 0; i < 468; i++) {
    const [x, y] = map(point(b, i).x, point(b, i).y);
    sum += (x - point(a, i).x) ** 2 + (y - point(a, i).y) ** 2;
  }
  return Math.sqrt(sum / 468) / Math.hypot(right.x - left.x, right.y - left.y);
}

test('FaceAnalyser finds the face of the sample portrait', async () => {
  const image = await decodePortrait(readFileSync(resolve(__dirname, '../../clients/web/samples/portrait.jpg')));
  const faces = await analyser.analyse(image);
  expect(faces).toHaveLength(1);
  expectSaneFace(faces[0], image);
});

describeWithData('FaceAnalyser on real portraits', () => {
  test.each(PORTRAITS)('finds the one face of %s', async (name) => {
    const image = await decodePortrait(portraitBytes(name));
    const faces = await analyser.analyse(image);
    expect(faces).toHaveLength(1);
    expectSaneFace(faces[0], image);
  });

  test('gives the same answer each time', async () => {
    const image = await decodePortrait(portraitBytes('source_3.jpg'));
    const [first, second] = [await analyser.analyse(image), await analyser.analyse(image)];
    expect(second).toEqual(first);
  });

  test('finds two faces, the larger first', async () => {
    const [large, small] = [portraitBytes('source_3.jpg'), portraitBytes('source_8.png')];
    for (const largeLeft of [true, false]) {
      const parts = [
        { input: await sharp(large).resize(480).toBuffer(), left: largeLeft ? 0 : 300, top: 0 },
        { input: await sharp(small).resize(300).toBuffer(), left: largeLeft ? 480 : 0, top: 60 },
      ];
      const canvas = { width: 780, height: 480, channels: 3, background: '#708090' } as const;
      const image = await decodePortrait(await sharp({ create: canvas }).composite(parts).png().toBuffer());
      const faces = await analyser.analyse(image);
      expect(faces).toHaveLength(2);
      expect(sizeOf(faces[0].box)).toBeGreaterThan(1.3 * sizeOf(faces[1].box));
      expect(faces[0].box.x < faces[1].box.x).toBe(largeLeft);
      for (const face of faces) expectSaneFace(face, image);
    }
  });

  test('finds a face that is small in a large picture, with the box it has in its own', async () => {
    const alone = await decodePortrait(portraitBytes('source_5.png'));
    const [own] = await analyser.analyse(alone);
    const scale = 200 / alone.width;
    for (const [left, top] of [
      [1750, 1100],
      [20, 30],
      [900, 600],
    ]) {
      const part = { input: await sharp(portraitBytes('source_5.png')).resize(200).png().toBuffer(), left, top };
      const canvas = { width: 2000, height: 1333, channels: 3, background: '#567' } as const;
      const image = await decodePortrait(
        await sharp({ create: canvas }).composite([part]).jpeg({ quality: 95 }).toBuffer(),
      );
      const faces = await analyser.analyse(image);
      expect(faces).toHaveLength(1);
      expectSaneFace(faces[0], image);
      expect(Math.abs(sizeOf(faces[0].box) / scale / sizeOf(own.box) - 1)).toBeLessThan(0.1);
      expect(distance(own, faces[0], (x, y) => [(x - left) / scale, (y - top) / scale])).toBeLessThan(0.03);
    }
  });

  test('finds a face that is cut by the edges of its picture', async () => {
    const [face] = await analyser.analyse(await decodePortrait(portraitBytes('source_3.jpg')));
    const { x, y, width, height } = face.box;
    const region = [x + 0.06 * width, y + 0.05 * height, 0.88 * width, 0.93 * height].map(Math.round);
    const [left, top] = region;
    const cut = sharp(portraitBytes('source_3.jpg')).extract({ left, top, width: region[2], height: region[3] });
    const [found] = await analyser.analyse(await decodePortrait(await cut.png().toBuffer()));
    expect(found).toBeDefined();
    expect(distance(face, found, (u, v) => [u + left, v + top])).toBeLessThan(0.08);
  });

  test.each([-30, -15, 15, 30])('measures a head tilted by %i degrees as the upright one', async (degrees) => {
    const bytes = portraitBytes('source_7.png');
    const upright = await decodePortrait(bytes);
    const [face] = await analyser.analyse(upright);
    const turned = await sharp(bytes).rotate(degrees, { background: '#444' }).png().toBuffer();
    const image = await decodePortrait(turned);
    const [tilted] = await analyser.analyse(image);
    expect(tilted).toBeDefined();
    const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
    const back = (x: number, y: number): [number, number] => {
      const [dx, dy] = [x - image.width / 2, y - image.height / 2];
      return [upright.width / 2 + dx * cos + dy * sin, upright.height / 2 - dx * sin + dy * cos];
    };
    expect(distance(face, tilted, back)).toBeLessThan(0.03);
  });

  test('sees a portrait that lies on its side by EXIF upright', async () => {
    const bytes = portraitBytes('source_10.png');
    const [face] = await analyser.analyse(await decodePortrait(bytes));
    const lying = await sharp(bytes).rotate(270).jpeg({ quality: 98 }).withMetadata({ orientation: 6 }).toBuffer();
    const [found] = await analyser.analyse(await decodePortrait(lying));
    expect(found).toBeDefined();
    expect(distance(face, found, (x, y) => [x, y])).toBeLessThan(0.02);
  });

  test('crops to a face of about half the height', async () => {
    const inner = { input: await sharp(portraitBytes('source_5.png')).resize(500).toBuffer(), left: 300, top: 250 };
    const canvas = { width: 1200, height: 1000, channels: 3, background: '#765' } as const;
    const image = await decodePortrait(await sharp({ create: canvas }).composite([inner]).png().toBuffer());
    const [face] = await analyser.analyse(image);
    const { landmarks, image: source } = cropToFace(image, face, { size: 512, crop: true, scale: 1.2 });
    const height = landmarks[152 * 3 + 1] - landmarks[10 * 3 + 1];
    expect(height / 512).toBeGreaterThan(0.42);
    expect(height / 512).toBeLessThan(0.53);
    // What the crop says of the landmarks is what the analyser sees in it.
    const [again] = await analyser.analyse(source);
    expect(distance({ ...face, landmarks }, again, (x, y) => [x, y])).toBeLessThan(0.02);
  });
});

describe('FaceAnalyser finds no face', () => {
  /** A picture by a function of x and y (0..1) that gives red, green and blue. */
  function paint(colour: (x: number, y: number) => [number, number, number]): RgbImage {
    const [width, height] = [640, 480];
    const data = new Uint8Array(width * height * 3);
    for (let i = 0; i < width * height; i++) {
      data.set(colour((i % width) / width, Math.floor(i / width) / height), i * 3);
    }
    return { width, height, data };
  }

  let state = 1;
  const noise = () => {
    state = (state * 48271) % 2147483647;
    return (state % 1000) / 1000;
  };

  test.each([
    ['grey', paint(() => [128, 128, 128])],
    ['a gradient', paint((x, y) => [255 * x, 255 * y, 128])],
    [
      'a landscape',
      paint((x, y) => (y > 0.6 + 0.05 * Math.sin(9 * x) ? [60, 120 - 40 * x, 40] : [120, 170, 255 - 90 * y])),
    ],
    ['noise', paint(() => [255 * noise(), 255 * noise(), 255 * noise()])],
    [
      'a face-coloured disc',
      paint((x, y) => (Math.hypot(x - 0.5, (y - 0.5) * 0.75) < 0.2 ? [224, 172, 140] : [90, 100, 110])),
    ],
    ['stripes', paint((x) => (Math.floor(x * 20) % 2 === 0 ? [250, 250, 250] : [5, 5, 5]))],
  ])('in %s', async (_, image) => {
    expect(await analyser.analyse(image)).toEqual([]);
  });
});
