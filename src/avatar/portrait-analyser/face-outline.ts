import { Curve } from './curve.js';
import { type FaceFrame, point2 } from './face-frame.js';
import { FACE_OVAL } from './landmark-sets.js';
import { hypot, max, smoothstep } from './math.js';

/** The face's outline as a radius around its middle: tells face from background without a segmentation. */
export class FaceOutline {
  private readonly middle: readonly [number, number];
  private readonly radius: (angle: number) => number;
  private readonly down: readonly [number, number];

  constructor(face: FaceFrame) {
    const ring = FACE_OVAL.map((index) => point2(face, index));
    const mean = (k: 0 | 1) => ring.reduce((sum, p) => sum + p[k], 0) / ring.length;
    this.middle = [mean(0), mean(1)];
    const length = max(hypot(face.axes[3], face.axes[4]), 1e-6);
    this.down = [face.axes[3] / length, face.axes[4] / length];
    const knots = ring.map(([x, y]): [number, number] => {
      const dx = x - this.middle[0];
      const dy = y - this.middle[1];
      return [Math.atan2(dy, dx), max(hypot(dx, dy), 0.35 * face.unit)];
    });
    const around = [-2 * Math.PI, 0, 2 * Math.PI].flatMap((turn) =>
      knots.map(([angle, radius]): [number, number] => [angle + turn, radius]),
    );
    this.radius = new Curve(around).dense(-Math.PI, Math.PI, Math.PI / 180);
  }

  /** Distance from the face's middle as a share of its radius that way: 1 on the outline. */
  relative(x: number, y: number): number {
    const dx = x - this.middle[0];
    const dy = y - this.middle[1];
    return hypot(dx, dy) / this.radius(Math.atan2(dy, dx));
  }

  /** 1 inside the face, 0 well outside it: at 1.35 times its radius to the sides, further down the neck. */
  share(x: number, y: number): number {
    const dx = x - this.middle[0];
    const dy = y - this.middle[1];
    const distance = hypot(dx, dy);
    if (distance < 1e-6) return 1;
    const downward = max(0, (dx * this.down[0] + dy * this.down[1]) / distance);
    const end = 1.3 + 0.4 * downward * downward;
    return 1 - smoothstep(1.02, end, distance / this.radius(Math.atan2(dy, dx)));
  }
}
