import type { PortraitSource } from '../../src/avatar/portrait-analyser/analyser.js';
import { analysePortrait, landmark, meanFace, paint, unitOf } from './portrait-analyser-source.js';
import { render } from './renderer-frames.js';

describe('shut lids on painted pictures', () => {
  /** A face of plain skin with open eyes: white, a dark iris, a dark fold over the lid; a rim across the brows if wanted. */
  function plainFaceWithEyes(rim: boolean): PortraitSource {
    const landmarks = meanFace(256, 250, 300);
    const at = (i: number) => ({ x: landmarks[i * 3], y: landmarks[i * 3 + 1] });
    const eyes = [
      [33, 133, 159, 145],
      [362, 263, 386, 374],
    ].map(([a, b, upper, lower]) => {
      const [left, right, top, bottom] = [at(a), at(b), at(upper), at(lower)];
      return {
        x: (left.x + right.x) / 2,
        y: (top.y + bottom.y) / 2,
        half: (right.x - left.x) / 2,
        high: bottom.y - top.y,
      };
    });
    const image = paint((x, y) => {
      for (const eye of eyes) {
        const [dx, dy] = [(x - eye.x) / eye.half, (y - eye.y) / (0.5 * eye.high)];
        if (rim && Math.abs(x - eye.x) < 2 * eye.half && Math.abs(dy + 2.6) < 0.4) return [20, 20, 24];
        if (dx * dx + dy * dy < 1)
          return Math.hypot(x - eye.x, y - eye.y) < 0.45 * eye.high ? [40, 30, 20] : [235, 235, 235];
        if (!rim && Math.abs(dx) < 1 && Math.abs(dy + 2.5 - 0.5 * dx * dx) < 0.25) return [110, 70, 55];
      }
      return [190, 140, 115];
    });
    return { image, landmarks };
  }

  test('a shut eye is skin: nothing of the eye or its fold is left', async () => {
    const plain = plainFaceWithEyes(false);
    const tensors = analysePortrait(plain);
    const [open, shut] = [await render(tensors), await render(tensors, { blink_left: 1, blink_right: 1 })];
    const skin = open[10 * 512 + 256];
    const { x, y } = landmark(plain, 159);
    const strange = (frame: Uint8Array) => {
      let count = 0;
      for (let row = Math.round(y - 14); row < y + 5; row++) {
        for (let column = Math.round(x - 20); column < x + 20; column++) {
          if (Math.abs(frame[row * 512 + column] - skin) > 25) count++;
        }
      }
      return count;
    };
    expect(strange(open)).toBeGreaterThan(150);
    expect(strange(shut)).toBeLessThan(0.05 * strange(open));
  });

  test('a shut lid comes out of a dark socket, but not lighter than the cheek', async () => {
    const plain = plainFaceWithEyes(false);
    const eyes = [159, 386].map((i) => landmark(plain, i));
    const u = unitOf(plain);
    // Skin in shade around the eyes.
    for (let y = 0; y < 512; y++) {
      for (let x = 0; x < 512; x++) {
        const away = Math.min(
          ...eyes.map((eye) => Math.hypot((x - eye.x) / (0.34 * u), (y - eye.y + 0.05 * u) / (0.17 * u))),
        );
        const at = (y * 512 + x) * 3;
        if (away < 1 && plain.image.data[at] === 190) for (let c = 0; c < 3; c++) plain.image.data[at + c] *= 0.7;
      }
    }
    const tensors = analysePortrait(plain);
    const shut = await render(tensors, { blink_left: 1, blink_right: 1 });
    const [socket, cheek] = [0.06, 0.3].map((down) => {
      const y = Math.round(eyes[0].y + (down === 0.06 ? -down : down) * u);
      return shut[y * 512 + Math.round(eyes[0].x)];
    });
    const lid = shut[Math.round(eyes[0].y + 0.005 * u) * 512 + Math.round(eyes[0].x)];
    expect(socket).toBeLessThan(0.8 * cheek);
    expect(lid).toBeGreaterThan(0.9 * cheek);
    expect(lid).toBeLessThan(cheek);
  });

  test('a shut lid does not cross a spectacle rim', async () => {
    const face = plainFaceWithEyes(true);
    const { y } = landmark(face, 159);
    const tensors = analysePortrait(face);
    const [open, shut] = [await render(tensors), await render(tensors, { blink_left: 1, blink_right: 1 })];
    const rim = [...open.keys()].filter((at) => at < 512 * 512 && open[at] < 45 && at < 512 * (y - 5));
    expect(rim.length).toBeGreaterThan(200);
    const kept = rim.filter((at) => shut[at] < 80).length;
    expect(kept).toBeGreaterThan(0.97 * rim.length);
  });
});
