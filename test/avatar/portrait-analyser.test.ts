import type { IdentityTensors, PortraitSource } from '../../src/avatar/portrait-analyser/analyser.js';
import { CONTROLS, JAW_DROP } from '../../src/avatar/portrait-analyser/controls.js';
import { fitFaceFrame } from '../../src/avatar/portrait-analyser/face-frame.js';
import {
  LOWER_LIP_INNER,
  LOWER_LIP_OUTER,
  UPPER_LIP_INNER,
  UPPER_LIP_OUTER,
} from '../../src/avatar/portrait-analyser/landmark-sets.js';
import { findPerson, MATTE_CELL } from '../../src/avatar/portrait-analyser/person-matte.js';
import { Photo } from '../../src/avatar/portrait-analyser/photo.js';
import { fillSmoothly } from '../../src/avatar/portrait-analyser/smooth-fill.js';
import { wearsSpectacles } from '../../src/avatar/portrait-analyser/spectacles.js';
import { ThinPlateSpline } from '../../src/avatar/portrait-analyser/thin-plate-spline.js';
import { GRID_NODES } from '../../src/avatar/portrait-analyser/warp-grid.js';
import { dataPath, describeWithData } from '../support/data.js';
import { analysePortrait, landmark, meanFace, paint, SAMPLE, sourceOf, unitOf } from './portrait-analyser-source.js';

const NODES = GRID_NODES * GRID_NODES;
const grey = paint(() => [150, 150, 150]);
const meanSource: PortraitSource = { image: grey, landmarks: meanFace(256, 250, 300) };

function bytesOf(tensors: IdentityTensors): number {
  return Object.values(tensors).reduce((sum, { data }) => sum + data.byteLength, 0);
}

function expectSound(tensors: IdentityTensors): void {
  for (const [name, { data, dims }] of Object.entries(tensors)) {
    expect([name, data.length]).toEqual([name, dims.reduce((a, b) => a * b, 1)]);
    if (data instanceof Float32Array) expect([name, data.every(Number.isFinite)]).toEqual([name, true]);
  }
  expect(bytesOf(tensors)).toBeLessThan(25e6);
}

/** A field's displacement in pixels at the node nearest to a place of the picture. */
function displacement(
  tensors: IdentityTensors,
  name: string,
  row: number,
  channel: number,
  x: number,
  y: number,
): number {
  const [y0, x0] = [...(tensors.window_start.data as BigInt64Array)].map(Number);
  const cell = Number(tensors.cell_pixels.data[0]);
  const node = Math.round((y - y0) / cell) * GRID_NODES + Math.round((x - x0) / cell);
  const { data, dims } = tensors[name];
  return ((data as Float32Array)[row * dims[1] + channel * NODES + node] * (GRID_NODES - 1) * cell) / 2;
}

describe('analysePortrait', () => {
  let sample: PortraitSource;
  let tensors: IdentityTensors;

  beforeAll(async () => {
    sample = await sourceOf(SAMPLE);
    tensors = analysePortrait(sample);
  });

  test('a turn of the head folds no part of the picture over another, even where a cheek turns away', () => {
    const mean = meanFace(256, 256, 300);
    for (const turned of [-0.5, 0, 0.5]) {
      // The face as photographed from the side: its far cheek falls off steeply.
      const landmarks = mean.map((value, i) => {
        const [x, z] = [mean[i - (i % 3)] - 256, mean[i - (i % 3) + 2]];
        if (i % 3 === 1) return value;
        return i % 3 === 0
          ? 256 + x * Math.cos(turned) - z * Math.sin(turned)
          : x * Math.sin(turned) + z * Math.cos(turned);
      });
      const field = analysePortrait({ image: grey, landmarks }).field_pose.data as Float32Array;
      for (const yaw of [-0.27, 0.27]) {
        // Rotation minus identity, entries (0,0), (0,2), (2,0), (2,2), times the field of each.
        const entries = new Map([
          [0, Math.cos(yaw) - 1],
          [2, -Math.sin(yaw)],
          [6, Math.sin(yaw)],
          [8, Math.cos(yaw) - 1],
        ]);
        const step = 2 / (GRID_NODES - 1);
        let least = Number.POSITIVE_INFINITY;
        const moved = (node: number) =>
          [...entries].reduce((sum, [k, value]) => sum + value * field[k * 2 * NODES + node], 0);
        for (let node = 0; node + 1 < NODES; node++) {
          if (node % GRID_NODES === GRID_NODES - 1) continue;
          least = Math.min(least, 1 + (moved(node + 1) - moved(node)) / step);
        }
        expect(least).toBeGreaterThan(0.35);
      }
    }
  });

  test('gives finite tensors of the shapes they claim, within memory', () => expectSound(tensors));

  test('gives the same bytes for the same source', () => {
    const again = analysePortrait(sample);
    expect(Object.keys(again)).toEqual(Object.keys(tensors));
    for (const name of Object.keys(tensors)) {
      expect([name, Buffer.compare(bytes(again[name].data), bytes(tensors[name].data))]).toEqual([name, 0]);
    }
  });

  test('refuses pictures of another size and meshes cut short', () => {
    expect(() => analysePortrait({ ...sample, image: { width: 2, height: 2, data: new Uint8Array(12) } })).toThrow(
      RangeError,
    );
    expect(() => analysePortrait({ ...sample, landmarks: new Float32Array(300) })).toThrow(RangeError);
  });

  test('keeps the photo where nothing moves', () => {
    const { data } = sample.image;
    const y = tensors.still_luma.data;
    for (const at of [0, 511, 512 * 300 + 7, 512 * 512 - 1]) {
      const [r, g, b] = data.subarray(at * 3);
      expect(Math.abs((y[at] as number) - (16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255))).toBeLessThanOrEqual(
        0.51,
      );
    }
  });

  test('drops chin and lower lip with the jaw, neither nose nor upper lip', () => {
    const u = unitOf(sample);
    const jaw = CONTROLS.indexOf('jaw');
    const lip = landmark(sample, 14);
    const chin = landmark(sample, 152);
    const nose = landmark(sample, 2);
    expect(displacement(tensors, 'field_expression', jaw, 3, lip.x, lip.y + 4) / u).toBeCloseTo(JAW_DROP, 2);
    expect(displacement(tensors, 'field_expression', jaw, 3, chin.x, chin.y - 4) / u).toBeGreaterThan(0.75 * JAW_DROP);
    expect(Math.abs(displacement(tensors, 'field_expression', jaw, 1, lip.x, lip.y - 8))).toBeLessThan(0.02 * u);
    expect(Math.abs(displacement(tensors, 'field_expression', jaw, 1, nose.x, nose.y - 8))).toBeLessThan(0.005 * u);
  });

  test('rounds a smiling mouth to a level one', () => {
    const pucker = CONTROLS.indexOf('pucker');
    const cornersDown = (raised: number) => {
      const landmarks = meanFace(256, 250, 300);
      const u = unitOf({ image: grey, landmarks });
      const [left, right, middle] = [61, 291, 13].map((i) => landmark({ image: grey, landmarks }, i));
      // Both lips' rings, the more the further from the middle.
      for (const i of [...UPPER_LIP_INNER, ...LOWER_LIP_INNER, ...UPPER_LIP_OUTER, ...LOWER_LIP_OUTER]) {
        const aside = (2 * Math.abs(meanSource.landmarks[i * 3] - middle.x)) / (right.x - left.x);
        landmarks[i * 3 + 1] = meanSource.landmarks[i * 3 + 1] - raised * u * Math.min(aside, 1) ** 2;
      }
      const tensors = analysePortrait({ image: grey, landmarks });
      const y = left.y - raised * u;
      return [left, right].map(({ x }) => displacement(tensors, 'field_expression', pucker, 3, x, y) / u);
    };
    const [plain, smiling] = [cornersDown(0), cornersDown(0.1)];
    for (const side of [0, 1]) {
      expect(smiling[side] - plain[side]).toBeGreaterThan(0.03);
      expect(smiling[side] - plain[side]).toBeLessThan(0.12);
    }
  });

  test('turns the head the way the tokens mean', () => {
    const u = unitOf(sample);
    const nose = landmark(sample, 1);
    const at = (coefficient: number, channel: number) =>
      displacement(tensors, 'field_pose', coefficient, channel, nose.x, nose.y) / u;
    // Yaw to the viewer's right is -sin at (x, z), chin down is -sin at (y, z): the nose lies before the pivot.
    expect(at(2, 0)).toBeLessThan(-0.2);
    expect(at(5, 1)).toBeLessThan(-0.2);
    // Shifts move the whole face by themselves.
    expect(at(9, 0)).toBeCloseTo(1, 1);
    expect(at(10, 1)).toBeCloseTo(1, 1);
  });

  test('leaves the background alone', () => {
    const field = tensors.field_pose.data as Float32Array;
    for (let row = 0; row < 22; row++) {
      for (const node of [0, GRID_NODES - 1]) expect(field[row * NODES + node]).toBeCloseTo(0, 10);
    }
  });

  test.each([
    ['all points in one', new Float32Array(1404)],
    ['outside the picture', meanFace(1400, -900, 300)],
    ['cut by the border', meanFace(10, 500, 300)],
    ['tiny', meanFace(480, 30, 20)],
    ['larger than the picture', meanFace(256, 256, 2000)],
    ['mirrored', meanFace(256, 256, -300)],
    ['not a number', new Float32Array(1404).fill(Number.NaN)],
    ['scattered', Float32Array.from({ length: 1404 }, (_, i) => (i * 7919) % 509)],
    ['on its side', rotated(meanFace(0, 0, 300), Math.PI / 2)],
  ])('bears a mesh that is %s', (_, landmarks) => expectSound(analysePortrait({ image: grey, landmarks })));

  test('never folds the skin over itself', () => {
    const mean = analysePortrait(meanSource);
    const poses: Array<Partial<Record<(typeof CONTROLS)[number], number>>> = [
      { jaw: 0.95, upperUp: 0.5 },
      { jaw: 0.2, pucker: 0.75, funnel: 0.5 },
      { stretch: 1, smile: 1, lowerDown: 0.3 },
      { browUp: 1.2 },
      { browDown: 1, squint: 1 },
      { press: 0.8 },
    ];
    for (const controls of poses) expect(smallestJacobian(mean, controls)).toBeGreaterThan(0.05);
  });
});

describeWithData('analysePortrait on an open mouth', () => {
  test('closes the gap of the photo', async () => {
    const source = await sourceOf(dataPath('portraits/source_10.png'));
    const tensors = analysePortrait(source);
    const upper = landmark(source, 13);
    const lower = landmark(source, 14);
    const down = displacement(tensors, 'field_expression', CONTROLS.indexOf('closeUpper'), 1, upper.x, upper.y);
    const up = displacement(tensors, 'field_expression', CONTROLS.indexOf('closeLower'), 3, lower.x, lower.y + 4);
    expect(down).toBeGreaterThan(0);
    expect(up).toBeLessThan(0);
    expect(down - up).toBeGreaterThan(lower.y - upper.y);
    // The lift of the upper lip undoes exactly what was closed before it moves on.
    expect(tensors.upper_closing.data[0]).toBeCloseTo(down / unitOf(source), 1);
  });

  test.each(['source_5.png', 'source_7.png', 'source_10.png'])(
    'rests content: the lips of %s meet a little under their corners',
    async (file) => {
      const source = await sourceOf(dataPath(`portraits/${file}`));
      const tensors = analysePortrait(source);
      const lowered = (control: (typeof CONTROLS)[number], index: number) => {
        const { x, y } = landmark(source, index);
        return y + displacement(tensors, 'field_expression', CONTROLS.indexOf(control), 1, x, y);
      };
      // The heads are tilted: the mean of both corners lies on the line through them.
      const corners = (lowered('closeLower', 78) + lowered('closeLower', 308)) / 2;
      expect((lowered('closeUpper', 13) - corners) / unitOf(source)).toBeGreaterThan(0.015);
    },
  );
});

describe('ThinPlateSpline', () => {
  const xs = [0, 1, 0, 1, 0.5, 0.2];
  const ys = [0, 0, 1, 1, 0.4, 0.9];

  test('goes through its points', () => {
    const values = [1, 2, 3, 5, 8, -1];
    const spline = new ThinPlateSpline(xs, ys, values, 0);
    expect(xs.map((x, i) => Math.round(spline.at(x, ys[i]) * 1e6) / 1e6)).toEqual(values);
  });

  test('is a plane where the points are, and smooth with coincident ones', () => {
    const plane = (x: number, y: number) => 3 - 2 * x + y;
    const spline = new ThinPlateSpline(
      [...xs, 0],
      [...ys, 0],
      [...xs.map((x, i) => plane(x, ys[i])), plane(0, 0)],
      1e-3,
    );
    expect(spline.at(4, -3)).toBeCloseTo(plane(4, -3), 4);
  });
});

describe('wearsSpectacles', () => {
  const wears = ({ image, landmarks }: PortraitSource) =>
    wearsSpectacles(new Photo(image), fitFaceFrame(landmarks, 512, 512));

  test('sees a bar over the nose, neither plain skin nor a shadow along it', async () => {
    const landmarks = meanFace(256, 250, 300);
    const nose = landmarks[168 * 3 + 1];
    const painted = (colour: Parameters<typeof paint>[0]) => ({ image: paint(colour), landmarks });
    expect(wears(painted((_, y) => (Math.abs(y - nose - 10) < 4 ? [90, 60, 30] : [200, 150, 130])))).toBe(true);
    expect(wears(painted((x) => (x < 256 ? [200, 150, 130] : [90, 60, 50])))).toBe(false);
    expect(wears(painted((_, y) => [200 - y / 4, 150 - y / 5, 130 - y / 6]))).toBe(false);
    expect(wears(await sourceOf(SAMPLE))).toBe(true);
  });

  test('leaves the rim of a raised brow nearly where it is', () => {
    const plain = paint(() => [200, 150, 130]);
    const landmarks = meanFace(256, 250, 300);
    const nose = landmarks[168 * 3 + 1];
    const barred = paint((_, y) => (Math.abs(y - nose - 10) < 4 ? [90, 60, 30] : [200, 150, 130]));
    const rise = (image: typeof plain) => {
      const source = { image, landmarks };
      const { x, y } = landmark(source, 105);
      return (
        -displacement(analysePortrait(source), 'field_expression', CONTROLS.indexOf('browUp'), 1, x, y) / unitOf(source)
      );
    };
    expect(rise(plain)).toBeGreaterThan(0.04);
    expect(rise(barred)).toBeLessThan(0.025);
  });
});

describe('findPerson', () => {
  test('tells hair and shoulders from a background of two colours', () => {
    const landmarks = meanFace(256, 230, 220);
    const person = (x: number, y: number) =>
      Math.hypot((x - 256) / 115, (y - 205) / 155) < 1 || (y > 350 && Math.abs(x - 256) < 70 + 1.2 * (y - 350));
    const image = paint((x, y) => {
      if (Math.hypot((x - 256) / 85, (y - 230) / 115) < 1) return [200, 150, 130];
      if (person(x, y)) return y > 350 ? [70, 30, 60] : [50, 35, 30];
      return x < 200 ? [90, 130, 90] : [150, 160, 170];
    });
    const { width, height, share } = findPerson(new Photo(image), fitFaceFrame(landmarks, 512, 512));
    expect([width, height]).toEqual([128, 128]);
    let [missed, invented, inside, outside] = [0, 0, 0, 0];
    for (let at = 0; at < share.length; at++) {
      const [x, y] = [(at % width) * MATTE_CELL + 2, Math.floor(at / width) * MATTE_CELL + 2];
      if (person(x, y)) {
        inside++;
        missed += share[at] < 0.5 ? 1 : 0;
      } else {
        outside++;
        invented += share[at] > 0.5 ? 1 : 0;
      }
    }
    expect(missed / inside).toBeLessThan(0.03);
    expect(invented / outside).toBeLessThan(0.08);
  });
});

describe('fillSmoothly', () => {
  test('stretches a membrane between what is known, and leaves that as it is', () => {
    const [width, height] = [40, 30];
    const ramp = (at: number) => 3 * (at % width) + 2 * Math.floor(at / width);
    const known = Uint8Array.from({ length: width * height }, (_, at) => {
      const [x, y] = [at % width, Math.floor(at / width)];
      return x < 2 || y < 2 || x >= width - 2 || y >= height - 2 ? 1 : 0;
    });
    const plane = Float32Array.from({ length: width * height }, (_, at) => (known[at] ? ramp(at) : 999));
    fillSmoothly(plane, known, width, height);
    const wrong = plane.map((value, at) => Math.abs(value - ramp(at)));
    expect(Math.max(...wrong.filter((_, at) => known[at] === 1))).toBe(0);
    // A plane is the membrane through its own border; it reaches over 170 here.
    expect(Math.max(...wrong)).toBeLessThan(6);
  });

  test('is nothing where nothing is known', () => {
    const plane = new Float32Array(12).fill(5);
    fillSmoothly(plane, new Uint8Array(12), 4, 3);
    expect([...plane]).toEqual(new Array(12).fill(0));
  });
});

/** Least determinant of the forward map of a layer under the given controls (negative: a fold). */
function smallestJacobian(tensors: IdentityTensors, controls: Partial<Record<string, number>>): number {
  const { data, dims } = tensors.field_expression;
  const field = data as Float32Array;
  let least = Number.POSITIVE_INFINITY;
  for (let layer = 0; layer < 2; layer++) {
    const at = (channel: number, row: number, column: number) => {
      let sum = 0;
      CONTROLS.forEach((control, k) => {
        const node = (2 * layer + channel) * NODES + row * GRID_NODES + column;
        sum += (controls[control] ?? 0) * field[k * dims[1] + node];
      });
      return (sum * (GRID_NODES - 1)) / 2;
    };
    for (let row = 0; row + 1 < GRID_NODES; row++) {
      for (let column = 0; column + 1 < GRID_NODES; column++) {
        const here = [at(0, row, column), at(1, row, column)];
        const right = [at(0, row, column + 1), at(1, row, column + 1)];
        const below = [at(0, row + 1, column), at(1, row + 1, column)];
        const xx = 1 + right[0] - here[0];
        const yy = 1 + below[1] - here[1];
        least = Math.min(least, xx * yy - (right[1] - here[1]) * (below[0] - here[0]));
      }
    }
  }
  return least;
}

function rotated(mesh: Float32Array, angle: number): Float32Array {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return mesh.map((v, i) => {
    if (i % 3 === 2) return v;
    const [x, y] = [mesh[i - (i % 3)], mesh[i - (i % 3) + 1]];
    return 256 + (i % 3 === 0 ? x * cos - y * sin : x * sin + y * cos);
  });
}

function bytes(data: ArrayBufferView): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
