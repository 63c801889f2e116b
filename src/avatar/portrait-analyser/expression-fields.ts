import { CONTROLS } from './controls.js';
import type { EyeFrame } from './eye-frame.js';
import { eyeMotion, nearEye } from './eye-motion.js';
import { canonical, type FaceFrame } from './face-frame.js';
import { FaceOutline } from './face-outline.js';
import { POINT } from './landmark-sets.js';
import { abs, clamp, smoothstep } from './math.js';
import { inMouth, type MouthFrame } from './mouth-frame.js';
import { mouthMotion } from './mouth-motion.js';
import type { HeadShape } from './pose-field.js';
import { eachNode, GRID_NODES, gridUnitsPerPixel, type WarpGrid } from './warp-grid.js';

/**
 * Forward displacements of the two skin layers: tensor [controls, 4, nodes, nodes] in grid units, the channels being
 * x and y of the upper layer (everything but lower lip and chin) and of the lower one. Beside the mouth both agree.
 */
export function expressionFields(
  face: FaceFrame,
  mouth: MouthFrame,
  eyes: readonly EyeFrame[],
  head: HeadShape,
  grid: WarpGrid,
): Float32Array {
  const nodes = GRID_NODES * GRID_NODES;
  const fields = new Float32Array(CONTROLS.length * 4 * nodes);
  const scale = face.unit * gridUnitsPerPixel(grid);
  const lipDepth = canonical(face, POINT.lowerLipOuterMiddle)[2];
  const outline = new FaceOutline(face);
  const behindGlass = eyes.some((eye) => eye.behindGlass);
  eachNode(grid, (x, y, node) => {
    const forward = clamp((face.earDepth - head.nodes[node * 3 + 2]) / (face.earDepth - lipDepth), 0, 1.15);
    const around = mouthReach(mouth, x, y) * outline.share(x, y);
    const mouths = around > 0 ? mouthMotion(mouth, x, y, forward, behindGlass) : [];
    const brows = eyes.filter((eye) => nearEye(eye, x, y)).map((eye) => eyeMotion(eye, x, y));
    CONTROLS.forEach((control, k) => {
      const at = k * 4 * nodes + node;
      for (let layer = 0; layer < mouths.length; layer++) {
        const [dx, dy] = mouths[layer][control];
        const strength = around * scale;
        fields[at + 2 * layer * nodes] = (dx * mouth.across[0] + dy * mouth.down[0]) * strength;
        fields[at + (2 * layer + 1) * nodes] = (dx * mouth.across[1] + dy * mouth.down[1]) * strength;
      }
      for (const brow of brows) {
        const [dx, dy] = brow[control] ?? [0, 0];
        fields[at] += dx * scale;
        fields[at + nodes] += dy * scale;
      }
    });
  });
  return fields;
}

/** 1 around the mouth, 0 where speech moves nothing: ears, forehead, under the neck. */
function mouthReach(mouth: MouthFrame, x: number, y: number): number {
  const [u, v] = inMouth(mouth, x, y);
  const aside = abs(u) / mouth.unit;
  const down = v / mouth.unit;
  return (
    (1 - smoothstep(0.75, 1.05, aside)) *
    smoothstep(-0.85, -0.55, down) *
    (1 - smoothstep(mouth.chin + 0.25, mouth.chin + 0.5, down))
  );
}
