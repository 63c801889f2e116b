import { fitFaceFrame } from '../../src/avatar/portrait-analyser/face-frame.js';
import { findLipLines } from '../../src/avatar/portrait-analyser/lip-curve.js';
import { alongMouth, fitMouthFrame, inMouth } from '../../src/avatar/portrait-analyser/mouth-frame.js';
import { drawInterior } from '../../src/avatar/portrait-analyser/mouth-interior.js';
import { brightness, Photo, type Rgb } from '../../src/avatar/portrait-analyser/photo.js';
import { mouthRect } from '../../src/avatar/portrait-analyser/skin-layers.js';
import { meanFace, paint } from './portrait-analyser-source.js';

/** Mean brightness of the upper teeth, drawn for a face of one colour, between two places along the mouth (0 middle, 1 corner). */
function teethLight(skin: Rgb, from: number, to: number): number {
  const photo = new Photo(paint(() => skin));
  const face = fitFaceFrame(meanFace(256, 256, 420), 512, 512);
  const mouth = fitMouthFrame(face, findLipLines(photo, face));
  const rect = mouthRect(mouth, photo);
  const { teeth, teethAlpha, teethEdge } = drawInterior(photo, face, mouth, rect);
  let [sum, count] = [0, 0];
  for (let at = 0; at < teethAlpha.length; at++) {
    const [u, v] = inMouth(mouth, rect.x0 + (at % teeth.width), rect.y0 + Math.floor(at / teeth.width));
    const reach = Math.abs(alongMouth(mouth, u));
    // The lower part of the row: higher up are gums.
    if (reach < from || reach > to || teethAlpha[at] < 0.3 || v < teethEdge - 0.08 * mouth.unit) continue;
    sum += brightness(teeth.rgb.subarray(at * 3, at * 3 + 3));
    count++;
  }
  expect(count).toBeGreaterThan(20);
  return sum / count;
}

describe('drawn teeth', () => {
  test('are about as light as skin, joints and all, and not whiter than the marble of a statue', () => {
    expect(teethLight([190, 140, 115], 0, 0.3)).toBeGreaterThan(0.95 * brightness([190, 140, 115]));
    expect(teethLight([200, 200, 200], 0, 0.3)).toBeLessThan(200);
    expect(teethLight([200, 200, 200], 0, 0.3)).toBeGreaterThan(150);
    // A black-and-white photo of a person is grey as well, but not as pale.
    expect(teethLight([140, 140, 140], 0, 0.3)).toBeGreaterThan(0.95 * 140);
  });

  test('lie in shade toward the corners of the mouth', () => {
    const middle = teethLight([190, 140, 115], 0, 0.3);
    const aside = teethLight([190, 140, 115], 0.5, 0.7);
    expect(aside).toBeLessThan(0.85 * middle);
    expect(aside).toBeGreaterThan(0.4 * middle);
    expect(teethLight([190, 140, 115], 0.72, 0.88)).toBeLessThan(0.9 * aside);
  });
});
