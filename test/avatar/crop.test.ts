import { type CropOptions, cropToFace } from '../../src/avatar/crop.js';
import type { Face } from '../../src/avatar/face.js';
import type { RgbImage } from '../../src/avatar/image.js';

const SIZE = 128;
const CROP: CropOptions = { size: SIZE, crop: true, scale: 1.2 };
const WHOLE: CropOptions = { ...CROP, crop: false };

/** A picture whose red is its column and whose green is its row, in steps that fit into a byte; blue is 77. */
function ramp(width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3;
      data[at] = (x * 255) / width + 0.5;
      data[at + 1] = (y * 255) / height + 0.5;
      data[at + 2] = 77;
    }
  }
  return { width, height, data };
}

/** A face of a given box; its landmarks are the box's corners and its centre over and over. z is a tenth of the size. */
function faceAt(x: number, y: number, size: number): Face {
  const points = [
    [x, y],
    [x + size, y],
    [x + size / 2, y + size / 2],
    [x + size, y + size],
  ];
  const landmarks = Float32Array.from(
    { length: 468 * 3 },
    (_, i) => [...points[Math.floor(i / 3) % 4], size / 10][i % 3],
  );
  return { box: { x, y, width: size, height: size }, score: 0.9, landmarks };
}

/** Where a point of the result lies in the ramp, by its colour. */
function positionAt(result: RgbImage, source: RgbImage, u: number, v: number): [number, number] {
  const at = (v * result.width + u) * 3;
  return [(result.data[at] * source.width) / 255, (result.data[at + 1] * source.height) / 255];
}

/** Side of the crop, in pixels of the source, from two landmarks. */
function sideOf(landmarks: Float32Array, size: number): number {
  return (size * SIZE) / (landmarks[3] - landmarks[0]);
}

describe('cropToFace, around the face', () => {
  test('is a square of 2.4 boxes, a little above the face, where there is room', () => {
    const { image, landmarks, assumed } = cropToFace(ramp(1000, 1000), faceAt(450, 480, 100), CROP);
    expect([image.width, image.height, image.data.length]).toEqual([SIZE, SIZE, SIZE * SIZE * 3]);
    expect(assumed).toBe(false);
    expect(sideOf(landmarks, 100)).toBeCloseTo(240);
    expect(landmarks[6]).toBeCloseTo(SIZE / 2);
    expect(landmarks[7]).toBeCloseTo(SIZE / 2 + (10 * SIZE) / 240);
    expect(landmarks[2]).toBeCloseTo((10 * SIZE) / 240);
  });

  test('takes the side and the height from the options', () => {
    const { landmarks } = cropToFace(ramp(1000, 1000), faceAt(450, 450, 100), { ...CROP, scale: 0.8, raise: 0 });
    expect(sideOf(landmarks, 100)).toBeCloseTo(160);
    expect(landmarks[7]).toBeCloseTo(SIZE / 2);
  });

  test('shows in the picture what the landmarks say', () => {
    const source = ramp(600, 400);
    for (const face of [faceAt(250, 150, 90), faceAt(10, 5, 60), faceAt(480, 330, 60), faceAt(200, 40, 300)]) {
      const { image, landmarks } = cropToFace(source, face, CROP);
      for (let i = 0; i < 12; i += 3) {
        const u = Math.floor(landmarks[i]);
        const v = Math.floor(landmarks[i + 1]);
        if (u < 0 || v < 0 || u >= SIZE || v >= SIZE) continue;
        const [x, y] = positionAt(image, source, u, v);
        // A pixel of the result is up to 4.4 of the source, a step of colour up to 2.4.
        expect(Math.abs(x - face.landmarks[i])).toBeLessThan(6);
        expect(Math.abs(y - face.landmarks[i + 1])).toBeLessThan(6);
      }
    }
  });

  test('moves into the picture at each edge', () => {
    const source = ramp(1000, 1000);
    const corners = [
      { face: faceAt(5, 5, 100), edge: [0, 0] },
      { face: faceAt(895, 5, 100), edge: [760, 0] },
      { face: faceAt(5, 895, 100), edge: [0, 760] },
      { face: faceAt(895, 895, 100), edge: [760, 760] },
    ];
    for (const { face, edge } of corners) {
      const { image, landmarks } = cropToFace(source, face, CROP);
      expect(sideOf(landmarks, 100)).toBeCloseTo(240);
      const [x, y] = positionAt(image, source, 0, 0);
      expect(Math.abs(x - edge[0])).toBeLessThan(6);
      expect(Math.abs(y - edge[1])).toBeLessThan(6);
    }
  });

  test('shrinks to a picture that is smaller, and is then the picture itself, byte for byte', () => {
    const source = ramp(SIZE, SIZE);
    const { image, landmarks } = cropToFace(source, faceAt(30, 40, 70), CROP);
    expect(sideOf(landmarks, 70)).toBeCloseTo(SIZE);
    expect(Buffer.from(image.data).equals(Buffer.from(source.data))).toBe(true);
  });

  test('continues the picture only where the face would be cut', () => {
    const { landmarks } = cropToFace(ramp(300, 100), faceAt(100, 10, 80), CROP);
    expect(sideOf(landmarks, 80)).toBeCloseTo(80 * 1.45);
    for (let i = 0; i < 12; i++) expect(landmarks[i]).toBeGreaterThan(0);
    for (let i = 0; i < 12; i++) expect(landmarks[i]).toBeLessThan(SIZE);
  });
});

describe('cropToFace, whole', () => {
  const source = ramp(256, 128);
  const { image, landmarks, assumed } = cropToFace(source, faceAt(100, 20, 40), WHOLE);

  test('keeps all of the picture in the middle', () => {
    expect(assumed).toBe(false);
    expect(sideOf(landmarks, 40)).toBeCloseTo(256);
    expect(landmarks[1]).toBeCloseTo(SIZE / 4 + 10);
    const [left, top] = positionAt(image, source, 0, SIZE / 4);
    const [right, bottom] = positionAt(image, source, SIZE - 1, (SIZE * 3) / 4 - 1);
    for (const [actual, expected] of [
      [left, 0],
      [top, 0],
      [right, 255],
      [bottom, 127],
    ]) {
      expect(Math.abs(actual - expected)).toBeLessThan(3);
    }
  });

  test('continues the edges above and below', () => {
    for (const [v, edge] of [
      [0, 0],
      [SIZE - 1, 127],
    ]) {
      const [x, y] = positionAt(image, source, SIZE / 2, v);
      expect(Math.abs(x - 128)).toBeLessThan(6);
      expect(Math.abs(y - edge)).toBeLessThan(6);
    }
  });

  test('blurs what it continues, and nothing else', () => {
    const stripes = ramp(256, 128);
    for (let i = 0; i < stripes.data.length; i++) stripes.data[i] = Math.floor(i / 3 / 8) % 2 === 0 ? 0 : 255;
    const { data } = cropToFace(stripes, undefined, WHOLE).image;
    const spread = (row: number) => {
      const line = data.subarray(row * SIZE * 3 + 90, (row * SIZE + SIZE - 30) * 3);
      return Math.max(...line) - Math.min(...line);
    };
    expect(spread(SIZE / 2)).toBeGreaterThan(250);
    expect(spread(4)).toBeLessThan(60);
    expect(spread(SIZE - 5)).toBeLessThan(60);
  });
});

test('without a face a mean face is assumed in the middle, just under half the height, looking at the viewer', () => {
  for (const options of [CROP, WHOLE]) {
    const { landmarks, assumed } = cropToFace(ramp(300, 200), undefined, options);
    expect(assumed).toBe(true);
    expect(landmarks).toHaveLength(468 * 3);
    const [forehead, chin, leftEye, rightEye, upperLip, nose] = [10, 152, 33, 263, 13, 1].map((i) => [
      ...landmarks.subarray(i * 3, i * 3 + 3),
    ]);
    expect(chin[1] - forehead[1]).toBeCloseTo(0.45 * SIZE, 0);
    expect((forehead[1] + chin[1]) / 2).toBeCloseTo(SIZE / 2, 0);
    expect(leftEye[0] + rightEye[0]).toBeCloseTo(SIZE, 0);
    expect(leftEye[0]).toBeLessThan(rightEye[0]);
    expect(leftEye[1]).toBeLessThan(upperLip[1]);
    expect(nose[2]).toBeLessThan(leftEye[2]);
  }
});
