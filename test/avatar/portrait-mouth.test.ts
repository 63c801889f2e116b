import { dataPath, describeWithData } from '../support/data.js';
import { analysePortrait, landmark, meanFace, paint, sourceOf, unitOf } from './portrait-analyser-source.js';
import { AA, changed, render, toRgb } from './renderer-frames.js';

describe('the mouth on painted pictures', () => {
  /** Height in pixels of what shows between the lips of a face without features. */
  async function gapOf(height: number, pose: Record<string, number>): Promise<number> {
    const x = 256;
    const source = { image: paint(() => [150, 150, 150] as const), landmarks: meanFace(x, 256, height) };
    const frame = await render(analysePortrait(source), pose);
    let [first, last] = [512, -1];
    for (let y = 0; y < 512; y++) {
      if (Math.abs(frame[y * 512 + x] - frame[0]) < 8) continue;
      first = Math.min(first, y);
      last = Math.max(last, y);
    }
    // Both edges are soft: half a pixel each is lip.
    return last < 0 ? 0 : last - first;
  }

  test('parts the lips as far as `open` says, in proportion to the face', async () => {
    for (const height of [300, 150]) {
      const source = { image: paint(() => [0, 0, 0] as const), landmarks: meanFace(256, 256, height) };
      const mm = unitOf(source) / 92;
      const a = (await gapOf(height, AA)) / mm;
      expect(a).toBeGreaterThan(11);
      expect(a).toBeLessThan(15.5);
      const i = (await gapOf(height, { jaw: 0.2, open: 0.3, stretch: 0.7, width: 0.6 })) / mm;
      expect(i).toBeGreaterThan(3.2);
      expect(i).toBeLessThan(6.5);
    }
  });

  test('rounded lips leave an opening that is round, dark and narrow', async () => {
    const tensors = analysePortrait({
      image: paint(() => [0, 0, 0] as const),
      landmarks: meanFace(256, 256, 420),
    });
    const opening = (frame: Uint8Array) => {
      const heights: number[] = [];
      let [light, count] = [0, 0];
      for (let x = 0; x < 512; x++) {
        let height = 0;
        for (let y = 256; y < 512; y++) {
          if (Math.abs(frame[y * 512 + x] - frame[0]) < 6) continue;
          height++;
          light += frame[y * 512 + x];
          count++;
        }
        if (height > 0) heights.push(height);
      }
      const mean = heights.reduce((sum, height) => sum + height, 0) / heights.length;
      return { width: heights.length, roundness: mean / Math.max(...heights), light: light / count };
    };
    const spread = opening(await render(tensors, { jaw: 0.2, open: 0.35 }));
    const rounded = opening(await render(tensors, { jaw: 0.2, open: 0.35, round: 1, protrude: 0.8, width: -0.6 }));
    // Mean height against the greatest: pi / 4 for an ellipse, a half for a lozenge.
    expect(rounded.roundness).toBeGreaterThan(0.77);
    expect(rounded.roundness).toBeGreaterThan(spread.roundness);
    expect(rounded.width).toBeLessThan(0.75 * spread.width);
    expect(rounded.light).toBeLessThan(0.85 * spread.light);
  });

  test('a tucked lower lip thins, lies at the upper teeth without a gap, and leaves the corners where they are', async () => {
    const landmarks = meanFace(256, 256, 420);
    const place = (i: number) => ({ x: landmarks[i * 3], y: landmarks[i * 3 + 1] });
    const [line, bottom, left, right] = [place(14).y, place(17).y, place(61).x, place(291).x];
    const onLip = (x: number, y: number) => x > left && x < right && y > line && y < bottom;
    const source = {
      image: paint((x, y) => (onLip(x, y) ? [190, 40, 60] : [190, 140, 115])),
      landmarks,
    };
    const tensors = analysePortrait(source);
    const [rest, tucked] = [await render(tensors), await render(tensors, { tuck: 1, open: 0.07, jaw: 0.12 })];
    const colours = toRgb(tucked);
    const red = (rgb: Float32Array, x: number, y: number) => rgb[(y * 512 + x) * 3] - rgb[(y * 512 + x) * 3 + 1] > 90;
    const lip = (frame: Uint8Array) => {
      const rgb = toRgb(frame);
      const rows = [...Array(120).keys()].map((i) => Math.round(line) - 40 + i).filter((y) => red(rgb, 256, y));
      return { top: rows[0], height: rows.length };
    };
    const [still, rolled] = [lip(rest), lip(tucked)];
    // Squeezing alone leaves a third of it.
    expect(rolled.height).toBeLessThan(0.3 * still.height);
    expect(rolled.height).toBeGreaterThan(0.1 * still.height);
    // Right above it 2 mm of teeth: pale, no dark between.
    for (let y = rolled.top - Math.round((2 / 92) * unitOf(source)); y < rolled.top - 2; y++) {
      const [r, g, b] = colours.subarray((y * 512 + 256) * 3, (y * 512 + 256) * 3 + 3);
      expect(Math.min(r, g, b)).toBeGreaterThan(80);
      expect(r - g).toBeLessThan(70);
    }
    // The corners are not drawn apart.
    const above = rest.slice();
    above.set(tucked.subarray(0, 512 * Math.floor(line)));
    const box = changed(rest, above, 12);
    expect(box.count).toBeGreaterThan(100);
    expect(box.left).toBeGreaterThan(left);
    expect(box.right).toBeLessThan(right);
  });

  test('a smile draws the corners out and up, alike on both sides', async () => {
    // A face with a dark line between its lips.
    const landmarks = meanFace(256, 256, 420);
    const place = (i: number) => ({ x: landmarks[i * 3], y: landmarks[i * 3 + 1] });
    const [left, right, middle] = [place(61), place(291), place(13)];
    const image = paint((x, y) =>
      Math.abs(y - middle.y) < 2.5 && x > left.x && x < right.x ? [60, 30, 30] : [190, 140, 115],
    );
    const tensors = analysePortrait({ image, landmarks });
    const line = (frame: Uint8Array) => {
      const dark: Array<{ x: number; y: number }> = [];
      for (let x = 120; x < 392; x++) {
        let best = 0;
        for (let y = Math.round(middle.y) - 40; y < middle.y + 20; y++) {
          if (best === 0 || frame[y * 512 + x] < frame[best * 512 + x]) best = y;
        }
        if (frame[best * 512 + x] < 110) dark.push({ x, y: best });
      }
      return { first: dark[0], last: dark[dark.length - 1] };
    };
    const [rest, smile] = [line(await render(tensors)), line(await render(tensors, { smile: 1 }))];
    const u = unitOf({ image, landmarks });
    const out = [rest.first.x - smile.first.x, smile.last.x - rest.last.x];
    const up = [rest.first.y - smile.first.y, rest.last.y - smile.last.y];
    for (const side of [0, 1]) {
      expect(out[side]).toBeGreaterThan(0.035 * u);
      expect(up[side]).toBeGreaterThan(0.06 * u);
    }
    expect(Math.abs(out[0] - out[1])).toBeLessThan(0.012 * u);
    expect(Math.abs(up[0] - up[1])).toBeLessThan(0.012 * u);
  });

  test('a smile folds the skin beside the mouth, pursed lips hollow it under them; the rest keeps its light', async () => {
    const face = { image: paint(() => [150, 110, 90] as const), landmarks: meanFace(256, 256, 320) };
    const tensors = analysePortrait(face);
    const rest = await render(tensors);
    const skin = rest[0];
    const lightAt = (frame: Uint8Array, { x, y }: { x: number; y: number }, dy = 0) =>
      frame[Math.round(y + dy) * 512 + Math.round(x)];
    const u = unitOf(face);
    const smile = await render(tensors, { smile: 1 });
    const darkest = (from: number, to: number) => {
      let value = 255;
      for (let x = from; x < to; x++)
        value = Math.min(value, lightAt(smile, { x, y: landmark(face, 206).y - 0.03 * u }));
      return value;
    };
    const [left, right] = [landmark(face, 206), landmark(face, 426)];
    const reach = Math.round(0.12 * u);
    const folds = [left, right].map(({ x }) => darkest(Math.round(x) - reach, Math.round(x) + reach));
    for (const fold of folds) {
      expect(fold).toBeLessThan(skin - 6);
      expect(fold).toBeGreaterThan(skin - 35);
    }
    const pursed = await render(tensors, { round: 1, jaw: 0.1 });
    expect(lightAt(pursed, landmark(face, 17), 0.05 * u)).toBeLessThan(skin - 3);
    for (const frame of [smile, pursed]) {
      for (const place of [landmark(face, 10), landmark(face, 1), { x: 40, y: 300 }]) {
        expect(Math.abs(lightAt(frame, place) - skin)).toBeLessThan(2);
      }
    }
  });
});

describeWithData('the mouth of a photo with an open one', () => {
  test('shuts it without dark spots in its corners', async () => {
    const source = await sourceOf(dataPath('portraits/source_8.png'));
    const rest = await render(analysePortrait(source));
    const u = unitOf(source);
    const luma = (x: number, y: number) => rest[Math.round(y) * 512 + Math.round(x)];
    for (const corner of [61, 291]) {
      const { x, y } = landmark(source, corner);
      const skin = luma(x, y + 0.09 * u);
      let darkest = 255;
      for (let dy = -0.05; dy < 0.05; dy += 0.01) {
        for (let dx = -0.06; dx < 0.06; dx += 0.01) darkest = Math.min(darkest, luma(x + dx * u, y + dy * u));
      }
      expect(darkest).toBeGreaterThan(0.42 * skin);
    }
  });

  test('keeps the teeth of the photo without the dark between and under them', async () => {
    const source = await sourceOf(dataPath('portraits/source_3.jpg'));
    const u = unitOf(source);
    const open = await render(analysePortrait(source), AA);
    const { x, y } = landmark(source, 13);
    let [crumbs, enamel] = [0, 0];
    for (let row = Math.round(y - 0.06 * u); row < y + 0.08 * u; row++) {
      for (let column = Math.round(x - 0.15 * u); column < x + 0.15 * u; column++) {
        const [here, left, right] = [0, -4, 4].map((dx) => open[row * 512 + column + dx]);
        if (here > 140) enamel++;
        if (Math.min(left, right) > 130 && here < 0.75 * Math.min(left, right)) crumbs++;
      }
    }
    expect(enamel).toBeGreaterThan(150);
    expect(crumbs).toBeLessThan(4);
  });

  test('shuts it: the teeth of the photo are gone', async () => {
    const source = await sourceOf(dataPath('portraits/source_3.jpg'));
    const tensors = analysePortrait(source);
    const u = unitOf(source);
    const teeth = (rgb: ArrayLike<number>) => {
      const { x, y } = landmark(source, 13);
      let count = 0;
      for (let row = Math.round(y - 0.05 * u); row < y + 0.12 * u; row++) {
        for (let column = Math.round(x - 0.2 * u); column < x + 0.2 * u; column++) {
          const [r, g, b] = [0, 1, 2].map((c) => rgb[(row * 512 + column) * 3 + c]);
          if (Math.min(r, g, b) > 150 && Math.max(r, g, b) - Math.min(r, g, b) < 30) count++;
        }
      }
      return count;
    };
    const seen = teeth(source.image.data);
    expect(seen).toBeGreaterThan(200);
    const shut: Array<Record<string, number>> = [{}, { lipclose: 1, jaw: 0.1, open: 0.3, press: 1 }];
    for (const pose of shut) {
      expect(teeth(toRgb(await render(tensors, pose)))).toBeLessThan(0.05 * seen);
    }
    expect(teeth(toRgb(await render(tensors, AA)))).toBeGreaterThan(0.3 * seen);
  });
});
