import type { IdentityTensors, PortraitSource } from '../../src/avatar/portrait-analyser/analyser.js';
import { analysePortrait, landmark, meanFace, paint, SAMPLE, sourceOf, unitOf } from './portrait-analyser-source.js';
import { AA, changed, model, psnr, render, TOKENS, toRgb } from './renderer-frames.js';

describe('renderer graph', () => {
  let source: PortraitSource;
  let tensors: IdentityTensors;
  let rest: Uint8Array;
  let u: number;

  beforeAll(async () => {
    source = await sourceOf(SAMPLE);
    tensors = analysePortrait(source);
    rest = await render(tensors);
    u = unitOf(source);
  });

  test('wants exactly what the analyser gives', () => {
    const wanted = model.inputs.map(({ name }) => name).filter((name) => name !== 'motion');
    expect(wanted.sort()).toEqual(
      Object.keys(tensors)
        .filter((name) => name !== 'motion_ref')
        .sort(),
    );
  });

  test('shows the photo at rest', () => {
    expect(psnr(toRgb(rest), source.image.data)).toBeGreaterThan(34);
  });

  test('gives the same bytes for the same motion', async () => {
    const pose = { ...AA, yaw: 0.05, blink_left: 0.4 };
    expect(Buffer.compare(await render(tensors, pose), await render(tensors, pose))).toBe(0);
  });

  test('bears tokens far beyond their range', async () => {
    const sane = await render(tensors, { yaw: 0.22, pitch: 0.22, jaw: 1, open: 1 });
    for (const value of [1e4, -1e4]) {
      const frame = await render(tensors, Object.fromEntries(TOKENS.map((name) => [name, value])));
      // Bounded, not smeared over the frame: what lies beside the head is still the photo.
      for (const at of [0, 511, 512 * 256, 512 * 257 - 1]) expect(frame[at]).toBe(sane[at]);
    }
  });

  test('loses nothing by computing expression on the face only', async () => {
    const pose = { ...AA, smile: 0.5, brow_up: 1, yaw: 0.22, roll: 0.3, shift_x: 0.15, shift_y: -0.15 };
    const integers = (...values: number[]) => ({ data: BigInt64Array.from(values, BigInt), dims: [values.length] });
    const whole = {
      ...tensors,
      face_nodes: integers(0, 0),
      face_node_count: integers(65, 65),
      face_reach: integers(0),
      face_grid_scale: { data: Float32Array.of(1, 1), dims: [1, 2, 1, 1] },
      face_grid_shift: { data: Float32Array.of(0, 0), dims: [1, 2, 1, 1] },
    };
    expect(tensors.face_node_count.data[0]).toBeLessThan(60);
    // The picture is grainy: a tenth of a pixel of motion left out shows as noise of this size, a wrong block as 20 dB.
    expect(psnr(await render(tensors, pose), await render(whole, pose))).toBeGreaterThan(38);
  });

  test('opens the mouth, and moves nothing above the nose or beside the face', async () => {
    const box = changed(rest, await render(tensors, AA));
    expect(box.count).toBeGreaterThan(0.05 * u * u);
    expect(box.top).toBeGreaterThan(landmark(source, 4).y - 0.1 * u);
    expect(box.left).toBeGreaterThan(landmark(source, 234).x - 0.1 * u);
    expect(box.right).toBeLessThan(landmark(source, 454).x + 0.1 * u);
  });

  test('closed lips win over an open jaw', async () => {
    const closed = await render(tensors, { ...AA, lipclose: 1 });
    const open = await render(tensors, AA);
    const parted = (frame: Uint8Array) => {
      let count = 0;
      const { x, y } = landmark(source, 13);
      for (let row = Math.round(y - 0.05 * u); row < y + 0.15 * u; row++) {
        for (let column = Math.round(x - 0.15 * u); column < x + 0.15 * u; column++) {
          if (Math.abs(frame[row * 512 + column] - rest[row * 512 + column]) > 40) count++;
        }
      }
      return count;
    };
    expect(parted(open)).toBeGreaterThan(0.015 * u * u);
    expect(parted(closed)).toBeLessThan(0.1 * parted(open));
  });

  test('blinks with one eye and changes nothing else', async () => {
    for (const [token, corners] of [
      ['blink_left', [33, 133]],
      ['blink_right', [362, 263]],
    ] as const) {
      const box = changed(rest, await render(tensors, { [token]: 1 }));
      const [outer, inner] = corners.map((i) => landmark(source, i));
      expect(box.count).toBeGreaterThan(0.01 * u * u);
      expect(box.left).toBeGreaterThan(outer.x - 0.1 * u);
      expect(box.right).toBeLessThan(inner.x + 0.1 * u);
      expect(box.top).toBeGreaterThan(Math.min(outer.y, inner.y) - 0.2 * u);
      expect(box.bottom).toBeLessThan(Math.max(outer.y, inner.y) + 0.15 * u);
    }
  });

  test('turns the nose right and down, and keeps the corners of the picture', async () => {
    const { x, y } = landmark(source, 1);
    const patch = (frame: Uint8Array, dx: number, dy: number) => {
      const values: number[] = [];
      for (let row = -16; row <= 16; row++) {
        for (let column = -16; column <= 16; column++) {
          values.push(frame[(Math.round(y) + row + dy) * 512 + Math.round(x) + column + dx]);
        }
      }
      return values;
    };
    const movement = (frame: Uint8Array) => {
      const still = patch(rest, 0, 0);
      let best = { dx: 0, dy: 0, score: Number.NEGATIVE_INFINITY };
      for (let dy = -14; dy <= 14; dy++) {
        for (let dx = -14; dx <= 14; dx++) {
          const score = psnr(patch(frame, dx, dy), still);
          if (score > best.score) best = { dx, dy, score };
        }
      }
      return best;
    };
    const yawed = await render(tensors, { yaw: 0.1 });
    expect(movement(yawed).dx).toBeGreaterThan(2);
    expect(movement(await render(tensors, { pitch: 0.1 })).dy).toBeGreaterThan(2);
    expect(movement(await render(tensors, { shift_x: -0.05 })).dx).toBeCloseTo(-0.05 * u, -0.5);
    for (const at of [0, 511, 511 * 512, 512 * 512 - 1]) expect(yawed[at]).toBe(rest[at]);
  });
});

describe('renderer graph on painted pictures', () => {
  test('lays the planes out as I420 in BT.601, limited range', async () => {
    const corners = [
      [220, 30, 40],
      [30, 200, 60],
      [40, 60, 210],
      [128, 128, 128],
    ] as const;
    const image = paint((x, y) => corners[(x < 256 ? 0 : 1) + (y < 256 ? 0 : 2)]);
    const frame = await render(analysePortrait({ image, landmarks: meanFace(256, 250, 200) }));
    const rgb = toRgb(frame);
    for (const [i, [x, y]] of [
      [20, 20],
      [490, 20],
      [20, 490],
      [490, 490],
    ].entries()) {
      for (let c = 0; c < 3; c++) expect(Math.abs(rgb[(y * 512 + x) * 3 + c] - corners[i][c])).toBeLessThan(3);
    }
  });

  test('shows the photo at rest up to its border, where the head reaches that', async () => {
    const light = (x: number, y: number) => 60 + 60 * ((x >> 1) & 1) + 60 * ((y >> 1) & 1);
    const image = paint((x, y) => [light(x, y), light(x, y), light(x, y)]);
    const tensors = analysePortrait({ image, landmarks: meanFace(256, 250, 480) });
    const bounds = [...(tensors.head_bounds.data as BigInt64Array)].map(Number);
    expect(bounds).toEqual([0, 512, 0, 512]);
    const frame = await render(tensors);
    for (const along of [40, 130, 256, 390, 470]) {
      for (const [x, y] of [
        [along, 0],
        [along, 511],
        [0, along],
        [511, along],
        [along, 3],
        [508, along],
      ]) {
        expect(Math.abs(frame[y * 512 + x] - (16 + (219 / 255) * light(x, y)))).toBeLessThan(3);
      }
    }
  });

  /** A head with dark hair before two door posts, and how far each pixel lies outside it (1 on the hair's edge). */
  function headBeforePosts(grain = 0) {
    const landmarks = meanFace(256, 270, 230);
    const middle = { x: 256, y: (landmarks[10 * 3 + 1] + landmarks[152 * 3 + 1]) / 2 };
    const [wide, high] = [
      0.5 * (landmarks[454 * 3] - landmarks[234 * 3]),
      0.5 * (landmarks[152 * 3 + 1] - landmarks[10 * 3 + 1]),
    ];
    const grained = (x: number, y: number) => {
      const light = ((x >> 1) + (y >> 1)) % 2 ? grain : -grain;
      return [120 + light, 170 + light, 225 + light] as const;
    };
    const outside = (x: number, y: number) =>
      Math.hypot((x - middle.x) / (1.25 * wide), (y - middle.y + 0.3 * high) / (1.5 * high));
    const image = paint((x, y) => {
      if (Math.hypot((x - middle.x) / wide, (y - middle.y) / high) < 1) return [205, 150, 125];
      if (outside(x, y) < 1) return [60, 40, 30];
      if (y > 370 && Math.abs(x - middle.x) < 60 + 1.5 * (y - 370)) return [80, 40, 50];
      return Math.abs(Math.abs(x - middle.x) / (1.25 * wide) - 1.45) < 0.05 ? [90, 100, 110] : grained(x, y);
    });
    return { source: { image, landmarks }, outside, top: middle.y - 1.8 * high };
  }

  test('turns the head without bending what is behind it', async () => {
    const { source, outside } = headBeforePosts();
    const tensors = analysePortrait(source);
    const rest = await render(tensors);
    const poses: Array<Record<string, number>> = [{ roll: 0.15 }, { yaw: 0.22, pitch: -0.1 }, { shift_x: 0.1 }];
    for (const pose of poses) {
      const frame = await render(tensors, pose);
      let [far, bent, moved] = [0, 0, 0];
      for (let y = 0; y < 330; y++) {
        for (let x = 0; x < 512; x++) {
          const different = Math.abs(frame[y * 512 + x] - rest[y * 512 + x]) > 4;
          if (outside(x, y) < 1) moved += different ? 1 : 0;
          else if (outside(x, y) > 1.38) {
            far++;
            bent += different ? 1 : 0;
          }
        }
      }
      expect(far).toBeGreaterThan(30000);
      expect(moved).toBeGreaterThan(500);
      expect(bent).toBe(0);
    }
  });

  test('uncovers a background with the grain of what is beside it', async () => {
    const { source } = headBeforePosts(20);
    const tensors = analysePortrait(source);
    const still = tensors.still_luma.data as Uint8Array;
    const spread = (x0: number, x1: number) => {
      const values: number[] = [];
      for (let y = 200; y < 240; y++) for (let x = x0; x < x1; x++) values.push(still[y * 512 + x]);
      const mean = values.reduce((a, b) => a + b) / values.length;
      return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    };
    // The hair's left edge lies at about 132: left of it the photo, right of it what is behind the hair.
    const beside = spread(60, 70);
    expect(beside).toBeGreaterThan(10);
    expect(spread(134, 144)).toBeGreaterThan(0.25 * beside);
  });

  test('takes the hair along as far as the face', async () => {
    const { source, top } = headBeforePosts();
    const tensors = analysePortrait(source);
    const shift = 0.12 * unitOf(source);
    const edge = (frame: Uint8Array) => {
      const row = Math.round(top + 14) * 512;
      let left = 120;
      while (frame[row + left] > 85 || frame[row + left + 4] > 85) left++;
      return left;
    };
    const moved = edge(await render(tensors, { shift_x: 0.12 })) - edge(await render(tensors));
    expect(Math.abs(moved - shift)).toBeLessThan(1.5);
  });

  test('a small face moves in its own part of the frame only', async () => {
    const image = paint((x, y) => [(x * 3) % 256, (y * 5) % 256, (x + y) % 256]);
    const tensors = analysePortrait({ image, landmarks: meanFace(400, 100, 80) });
    const box = changed(await render(tensors), await render(tensors, { ...AA, yaw: 0.1, blink_left: 1 }));
    expect(box.count).toBeGreaterThan(100);
    expect(box.left).toBeGreaterThan(280);
    expect(box.bottom).toBeLessThan(230);
  });
});
