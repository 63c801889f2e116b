import { type FaceFrame, point2 } from './face-frame.js';
import { SKIN_POINTS } from './landmark-sets.js';
import { abs, clamp, exp, max, min, mix, percentile, smoothstep } from './math.js';
import { alongMouth, fromMouth, inMouth, type MouthFrame } from './mouth-frame.js';
import { brightness, Patch, type Photo, type Rect, type Rgb, saturation } from './photo.js';

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
/** The outer-eye distance is about this many millimetres on an adult. */
const UNIT_MM = 92;

interface Palette {
  readonly teeth: Rgb;
  readonly gum: Rgb;
  readonly cavity: Rgb;
  readonly tongue: Rgb;
  /** The lips' inner side: far in the corners, and where it shades the teeth. */
  readonly cheek: Rgb;
  readonly shadow: Rgb;
}

/** Draws the interior into the mouth's rectangle, in the light and tint of the portrait's skin. */
export function drawInterior(photo: Photo, face: FaceFrame, mouth: MouthFrame, rect: Rect): MouthInterior {
  const skin = skinColour(photo, face);
  const own = findOwnTeeth(photo, mouth, brightness(skin));
  const palette = paletteFor(skin, lipColour(photo, mouth), own?.colour);
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
      // Behind the corners there is cheek, not teeth.
      teethAlpha[at] = drawn.alpha * (1 - smoothstep(0.6, 0.95, abs(alongMouth(mouth, u))));
      teeth.rgb.set(drawn.colour, at * 3);
      if (own) keepOwnTeeth(photo, mouth, u, v, own, teeth, teethAlpha, at, mm);
    }
  }
  return { jaw, teeth, teethAlpha, shadow: palette.shadow, jawRest, teethEdge: edge };
}

/** The upper lip's tilt against the line of the corners: the teeth lie along it. */
function lipSlope(mouth: MouthFrame): number {
  const left = -0.6 * mouth.left;
  const right = 0.6 * mouth.right;
  return clamp((mouth.upperInner(right) - mouth.upperInner(left)) / (right - left), -0.3, 0.3);
}

/** Median colour of plain skin. */
function skinColour(photo: Photo, face: FaceFrame): Rgb {
  const reach = clamp(Math.round(face.unit * 0.03), 1, 8);
  const channels: [number[], number[], number[]] = [[], [], []];
  for (const index of SKIN_POINTS) {
    const [x, y] = point2(face, index);
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) {
        const colour = photo.at(x + dx, y + dy);
        for (let c = 0; c < 3; c++) channels[c].push(colour[c]);
      }
    }
  }
  return channels.map((values) => percentile(values, 0.5)) as Rgb;
}

/** Mean colour of the lower lip's middle. */
function lipColour(photo: Photo, mouth: MouthFrame): Rgb {
  const sum: Rgb = [0, 0, 0];
  let count = 0;
  for (let s = -0.5; s <= 0.5; s += 0.125) {
    const u = s * (s < 0 ? mouth.left : mouth.right);
    for (const depth of [0.35, 0.5, 0.65]) {
      const colour = photo.at(...fromMouth(mouth, u, mix(mouth.lowerInner(u), mouth.lowerOuter(u), depth)));
      for (let c = 0; c < 3; c++) sum[c] += colour[c];
      count++;
    }
  }
  return sum.map((value) => value / count) as Rgb;
}

function paletteFor(skin: Rgb, lip: Rgb, ownTeeth: Rgb | undefined): Palette {
  const light = max(brightness(skin), 1);
  const level = clamp(light / 165, 0.35, 1.15);
  // Statues and black-and-white photos have no red inside either.
  const colourful = clamp(saturation(skin) / 0.35, 0, 1);
  const tone = (colour: Rgb): Rgb => colour.map((c) => mix(brightness(colour), c, colourful)) as Rgb;
  const reference: Rgb = [200, 150, 118];
  const tint =
    colourful > 0.86
      ? skin.map((c, k) => clamp(((c / light / reference[k]) * brightness(reference)) ** 0.75, 0.86, 1.14))
      : [1, 1, 1];
  const lit = (colour: Rgb, factor: number): Rgb => tone(colour).map((c) => c * factor) as Rgb;
  const drawn = lit([226, 204, 174], level).map((c, k) => c * tint[k]) as Rgb;
  // Yellow light makes teeth yellow, never green.
  drawn[1] = min(drawn[1], 0.93 * drawn[0] + 0.07 * drawn[2]);
  const cavity = lit([52, 20, 22], max(level, 0.6));
  return {
    teeth: ownTeeth ? (drawn.map((c, k) => mix(c, ownTeeth[k], 0.85)) as Rgb) : drawn,
    gum: lit([172, 104, 112], level * 0.78),
    cavity,
    cheek: blend(cavity, scaled(lip, 0.5), 0.75),
    shadow: blend(cavity, scaled(lip, 0.5), 0.6),
    tongue: lit([172, 94, 96], level * 0.8),
  };
}

/** Colour behind the upper teeth; x and y in millimetres, y down from the lower teeth's line. */
function jawColour(x: number, y: number, mm: number, palette: Palette): Rgb {
  let colour = palette.cavity;
  const tongue = clamp((1 - (x / 19) ** 2 - ((y - 3) / 15) ** 2) * 1.6, 0, 1);
  const groove = 0.08 * exp(-((x / 1.6) ** 2));
  colour = blend(colour, scaled(palette.tongue, 0.5 + 0.5 * clamp((y + 12) / 12, 0, 1) - groove), tongue);
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
    (1 - 0.22 * min(t, 1) ** 6) *
    (1 - 0.5 * smoothstep(6, 25, out)) *
    (1 - 0.025 * n) *
    (0.9 + 0.1 * clamp(inside / 3, 0, 1)) *
    (1 - 0.25 * root * root);
  return { alpha, shade };
}

interface OwnTeeth {
  readonly colour: Rgb;
  /** V of the cutting edge in the middle, pixels. */
  readonly edge: number;
}

/**
 * The photo's own upper teeth, if its mouth is open and shows them: bright against the skin, little colour, and in the
 * upper half of the gap (else it is the tongue, or lower teeth).
 */
function findOwnTeeth(photo: Photo, mouth: MouthFrame, skinLight: number): OwnTeeth | undefined {
  const mm = mouth.unit / UNIT_MM;
  if (!mouth.open || mouth.gap * UNIT_MM < 4.5) return undefined;
  const seen: Array<{ v: number; light: number; colour: Rgb; upperHalf: boolean }> = [];
  for (let u = -9 * mm; u <= 9 * mm; u += 1) {
    const top = mouth.upperInner(u);
    const bottom = mouth.lowerInner(u);
    for (let v = top + 1; v < bottom - 1; v += 1) {
      const colour = photo.at(...fromMouth(mouth, u, v));
      seen.push({ v, light: brightness(colour), colour, upperHalf: v - top < (bottom - top) / 2 });
    }
  }
  if (seen.length < 40) return undefined;
  const lights = seen.map((sample) => sample.light);
  const bright = percentile(lights, 0.92);
  const mean = (upperHalf: boolean) => {
    const half = seen.filter((sample) => sample.upperHalf === upperHalf);
    return half.reduce((sum, sample) => sum + sample.light, 0) / max(half.length, 1);
  };
  if (bright < 0.5 * skinLight || mean(true) < 0.42 * skinLight || mean(true) < 0.85 * mean(false)) return undefined;
  const enamel = seen.filter((sample) => sample.light > 0.62 * bright && saturation(sample.colour) < 0.55);
  if (enamel.length < 30) return undefined;
  const ends = enamelEnds(photo, mouth, 0.62 * bright);
  if (ends.length < 3) return undefined;
  const line = mouth.upperInner(0);
  const bottom = clamp(percentile(ends, 0.6) + 0.3 * mm, line + 2 * mm, line + 9 * mm);
  const brightest = enamel.filter((sample) => sample.light >= percentile(lights, 0.75));
  const colour = [0, 1, 2].map(
    (c) => brightest.reduce((sum, sample) => sum + sample.colour[c], 0) / max(brightest.length, 1),
  ) as Rgb;
  return { colour, edge: bottom };
}

/** V of the upper teeth's lower end in the middle columns: down from the lip as long as it stays enamel. */
function enamelEnds(photo: Photo, mouth: MouthFrame, threshold: number): number[] {
  const mm = mouth.unit / UNIT_MM;
  const ends: number[] = [];
  for (let u = -8 * mm; u <= 8 * mm; u += mm / 2) {
    const bottom = mouth.lowerInner(u);
    let end = Number.NaN;
    for (let v = mouth.upperInner(u) + 0.5; v < bottom; v += 0.5) {
      const colour = photo.at(...fromMouth(mouth, u, v));
      const enamel = brightness(colour) > threshold && saturation(colour) < 0.55;
      if (enamel) end = v;
      // The lip's shadow may come first; after the teeth a dark or red run ends them.
      else if (Number.isFinite(end) && v - end > 1.2 * mm) break;
      else if (Number.isNaN(end) && v - mouth.upperInner(u) > 3 * mm) break;
    }
    if (Number.isFinite(end)) ends.push(end);
  }
  return ends;
}

/** Puts the photo's teeth over the drawn ones where they show, feathered; they are never stretched or continued. */
function keepOwnTeeth(
  photo: Photo,
  mouth: MouthFrame,
  u: number,
  v: number,
  own: OwnTeeth,
  teeth: Patch,
  alpha: Float32Array,
  at: number,
  mm: number,
): void {
  const inset = min(v - mouth.upperInner(u) - 1.6, mouth.lowerInner(u) - v - 2);
  const within =
    clamp(inset / 2.6, 0, 1) *
    clamp((0.93 - abs(alongMouth(mouth, u))) / 0.06, 0, 1) *
    clamp((own.edge + lipSlope(mouth) * u + 0.9 * mm - v) / (0.9 * mm), 0, 1);
  if (within <= 0) return;
  const colour = photo.at(...fromMouth(mouth, u, v));
  for (let c = 0; c < 3; c++) teeth.rgb[at * 3 + c] = mix(teeth.rgb[at * 3 + c], colour[c], within);
  alpha[at] = max(alpha[at], within);
}

function blend(below: Rgb, above: Rgb, alpha: number): Rgb {
  return [mix(below[0], above[0], alpha), mix(below[1], above[1], alpha), mix(below[2], above[2], alpha)];
}

function scaled(colour: Rgb, factor: number): Rgb {
  return [colour[0] * factor, colour[1] * factor, colour[2] * factor];
}
