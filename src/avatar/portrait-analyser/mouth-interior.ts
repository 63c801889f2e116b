import type { FaceFrame } from './face-frame.js';
import { abs, bell, clamp, max, min, smoothstep } from './math.js';
import { alongMouth, inMouth, lipSlope, type MouthFrame, UNIT_MM } from './mouth-frame.js';
import { blend, findPalette, type Palette, scaled, skinColour } from './mouth-palette.js';
import { findOwnTeeth, keepOwnTeeth } from './own-teeth.js';
import { brightness, Patch, type Photo, type Rect, type Rgb } from './photo.js';

/** What lies behind the lips. The upper teeth belong to the skull, everything else to the jaw. */
export interface MouthInterior {
  /** Cavity, tongue, lower teeth, drawn for a jaw `jawRest` pixels lower than the closed one. */
  readonly jaw: Patch;
  readonly teeth: Patch;
  /** Coverage 0..1 of the upper teeth, one per pixel. */
  readonly teethAlpha: Float32Array;
  /** What the inside darkens toward behind the lips: their own colour in shade. */
  readonly shadow: Rgb;
  /** Pixels along the mouth's `down`. */
  readonly jawRest: number;
  /** V of the upper teeth's cutting edge in the middle, pixels. */
  readonly teethEdge: number;
}

/** Half-widths at which the teeth meet, projected on the frontal plane, millimetres from the middle. */
const UPPER_EDGES = [0, 8.3, 14.4, 20.6, 25, 29];
const LOWER_EDGES = [0, 5.2, 10.6, 16.4, 21, 26];
/** How much shorter than the first incisor each following tooth is, millimetres. */
const TIP_OFFSETS = [0, 0.7, 0.2, 0.9, 1.2];

/** Draws the interior into the mouth's rectangle, in the light and tint of the portrait's skin. */
export function drawInterior(photo: Photo, face: FaceFrame, mouth: MouthFrame, rect: Rect): MouthInterior {
  const own = findOwnTeeth(photo, mouth, brightness(skinColour(photo, face)));
  const palette = findPalette(photo, face, mouth, own?.colour);
  const jaw = new Patch(rect);
  const teeth = new Patch(rect);
  const teethAlpha = new Float32Array(jaw.width * jaw.height);
  const mm = mouth.unit / UNIT_MM;
  const line = mouth.upperInner(0);
  const jawRest = 0.17 * mouth.unit;
  const slope = lipSlope(mouth);
  // Lips that part by 3 mm show an edge of teeth and the dark under it, not a white band. An open mouth's lip is raised already.
  const edge = own ? own.edge : line + (mouth.open ? 3.1 : 2.4) * mm;
  for (let row = 0; row < jaw.height; row++) {
    for (let column = 0; column < jaw.width; column++) {
      const at = row * jaw.width + column;
      const [u, v] = inMouth(mouth, rect.x0 + column, rect.y0 + row);
      // What the lips can never uncover stays as it is in the arrays: black, no teeth.
      if (abs(alongMouth(mouth, u)) > 1.5 || v < -0.25 * mouth.unit || v > 0.5 * mouth.unit) continue;
      const x = u / mm;
      const inside = jawColour(x, (v - slope * u - line - jawRest) / mm, mm, palette);
      // In the corners the cheek's inside closes the mouth, not the dark.
      jaw.rgb.set(blend(inside, palette.cheek, smoothstep(0.6, 1, abs(alongMouth(mouth, u)))), at * 3);
      const arch = clamp(1 - (x / 27) ** 2, 0, 1);
      const drawn = upperTooth(x, (edge + slope * u - 3.6 * mm * (1 - arch) - v) / mm, mm, palette);
      // Toward the corners the teeth lie in the cheeks' shade; behind the corners there is cheek.
      const reach = abs(alongMouth(mouth, u));
      teethAlpha[at] = drawn.alpha * (1 - smoothstep(0.7, 0.98, reach));
      teeth.rgb.set(drawn.colour, at * 3);
      if (own) keepOwnTeeth(photo, mouth, u, v, own, teeth, teethAlpha, at);
      const shaded = blend(
        [...teeth.rgb.subarray(at * 3, at * 3 + 3)] as Rgb,
        palette.cheek,
        0.75 * smoothstep(0.3, 0.9, reach),
      );
      teeth.rgb.set(shaded, at * 3);
    }
  }
  return { jaw, teeth, teethAlpha, shadow: palette.shadow, jawRest, teethEdge: edge };
}

/** Colour behind the upper teeth; x and y in millimetres, y down from the lower teeth's line. */
function jawColour(x: number, y: number, mm: number, palette: Palette): Rgb {
  let colour = palette.cavity;
  const tongue = clamp((1 - (x / 19) ** 2 - ((y - 3) / 15) ** 2) * 1.6, 0, 1);
  // Round: lit in front and in the middle, with a shallow groove.
  const round = 0.46 + 0.5 * smoothstep(-14, 2, y) - 0.22 * (x / 19) ** 2 - 0.04 * bell((x / 2.4) ** 2);
  colour = blend(colour, scaled(palette.tongue, round), tongue);
  const arch = clamp(1 - (x / 24) ** 2, 0, 1);
  const tooth = toothRow(x, y - (2.8 - arch), LOWER_EDGES, 9, mm);
  colour = blend(colour, scaled(palette.teeth, 0.62 * tooth.shade), tooth.alpha);
  const gum = clamp((y - 6) / 2, 0, 1) * clamp((26 - abs(x)) / 3, 0, 1);
  return blend(colour, scaled(palette.gum, 0.8), gum);
}

/** Colour and coverage of the upper row; `up` is millimetres above its cutting edge. */
function upperTooth(x: number, up: number, mm: number, palette: Palette): { colour: Rgb; alpha: number } {
  const tooth = toothRow(x, up, UPPER_EDGES, 13, mm);
  const gum = clamp((up - 10.2) / 1.2, 0, 1) * clamp((27 - abs(x)) / 3, 0, 1);
  const colour = blend(scaled(palette.teeth, tooth.shade), palette.gum, gum);
  return { colour, alpha: max(tooth.alpha, gum) };
}

/**
 * One row of teeth: coverage and shading at `depth` millimetres behind the cutting edge (positive inside the tooth).
 * Corners are rounded, the joints darker, the row darker toward the cheeks.
 */
function toothRow(x: number, depth: number, edges: readonly number[], height: number, mm: number) {
  const out = abs(x);
  let n = 0;
  while (n < edges.length - 2 && out >= edges[n + 1]) n++;
  const t = abs((out - edges[n]) / (edges[n + 1] - edges[n]) - 0.5) * 2;
  const inside = depth - TIP_OFFSETS[n] - 0.9 * min(t, 1) ** 5;
  const pixels = inside * mm;
  const alpha =
    clamp(pixels / 1.2 + 0.5, 0, 1) *
    clamp(((height - inside) * mm) / 2 + 0.5, 0, 1) *
    clamp((edges[edges.length - 1] - out) / 2, 0, 1);
  const root = clamp(inside / height, 0, 1);
  const shade =
    (1 - 0.12 * min(t, 1) ** 8) *
    (1 - 0.3 * smoothstep(6, 25, out)) *
    (1 - 0.025 * n) *
    (0.9 + 0.1 * clamp(inside / 3, 0, 1)) *
    (1 - 0.25 * root * root);
  return { alpha, shade };
}
