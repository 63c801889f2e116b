import { type FaceFrame, point2 } from './face-frame.js';
import { POINT } from './landmark-sets.js';
import { abs, max, min } from './math.js';
import { brightness, type Photo, type Rgb } from './photo.js';

/** Change of light or colour along the bridge of the nose, as a share of the light there: a bar .2 and more, skin .07. */
const BAR = 0.13;

/** Whether a bar crosses the bridge of the nose: spectacles with a rim that can be seen. */
export function wearsSpectacles(photo: Photo, face: FaceFrame): boolean {
  const [x0, y0] = point2(face, POINT.noseRoot);
  const [x1, y1] = point2(face, POINT.noseBridge);
  const [ax, ay] = [face.axes[0] * face.unit, face.axes[1] * face.unit];
  let least = Number.POSITIVE_INFINITY;
  // A bar shows in every column; a crease, a strand of hair or a shadow does not.
  for (const aside of [-0.05, -0.025, 0, 0.025, 0.05]) {
    const colours: Rgb[] = [];
    for (let t = -0.6; t <= 1.2; t += 0.04) {
      colours.push(meanAcross(photo, x0 + (x1 - x0) * t + aside * ax, y0 + (y1 - y0) * t + aside * ay, ax, ay));
    }
    let step = 0;
    for (let i = 2; i < colours.length; i++) step = max(step, change(colours[i - 2], colours[i]));
    least = min(least, step);
  }
  return least > BAR;
}

/** Mean colour over a short run along the eyes' line. */
function meanAcross(photo: Photo, x: number, y: number, ax: number, ay: number): Rgb {
  const sum: Rgb = [0, 0, 0];
  for (let k = -2; k <= 2; k++) {
    const colour = photo.at(x + 0.01 * k * ax, y + 0.01 * k * ay);
    for (let c = 0; c < 3; c++) sum[c] += colour[c] / 5;
  }
  return sum;
}

function change(a: Rgb, b: Rgb): number {
  const light = (brightness(a) + brightness(b)) / 2 + 20;
  const most = max(...[0, 1, 2].map((c) => abs(a[c] - b[c])), abs(brightness(a) - brightness(b)));
  return most / light;
}
