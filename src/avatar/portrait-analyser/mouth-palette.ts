import { type FaceFrame, point2 } from './face-frame.js';
import { SKIN_POINTS } from './landmark-sets.js';
import { clamp, max, min, mix, percentile, smoothstep } from './math.js';
import { fromMouth, type MouthFrame } from './mouth-frame.js';
import { brightness, type Photo, type Rgb, saturation } from './photo.js';

/** Skin in neutral light. */
const REFERENCE: Rgb = [200, 150, 118];

/** Colours of what lies behind the lips, in the light and tint of the portrait. */
export interface Palette {
  readonly teeth: Rgb;
  readonly gum: Rgb;
  readonly cavity: Rgb;
  readonly tongue: Rgb;
  /** The lips' inner side: far in the corners, and where it shades the teeth. */
  readonly cheek: Rgb;
  readonly shadow: Rgb;
}

/** Median colour of plain skin. */
export function skinColour(photo: Photo, face: FaceFrame): Rgb {
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

/** @param ownTeeth colour of the teeth that the photo shows */
export function findPalette(photo: Photo, face: FaceFrame, mouth: MouthFrame, ownTeeth: Rgb | undefined): Palette {
  const skin = skinColour(photo, face);
  const lip = saturated(lipColour(photo, mouth), 1.3);
  const light = max(brightness(skin), 1);
  const level = clamp(light / 165, 0.35, 1.15);
  // Statues and black-and-white photos have no red inside either.
  const colourful = clamp(saturation(skin) / 0.35, 0, 1);
  const tone = (colour: Rgb): Rgb => colour.map((c) => mix(brightness(colour), c, colourful)) as Rgb;
  const lit = (colour: Rgb, factor: number): Rgb => tone(colour).map((c) => c * factor) as Rgb;
  // The light's own colour, as it shows on skin. Between lips and cheeks it is thrown to and fro, and grows.
  const cast = (strength: number, most: number): Rgb =>
    skin.map((c, k) =>
      colourful > 0.86 ? clamp(((c / light / REFERENCE[k]) * brightness(REFERENCE)) ** strength, 2 - most, most) : 1,
    ) as Rgb;
  const warm = (colour: Rgb): Rgb => colour.map((c, k) => c * cast(1, 1.25)[k]) as Rgb;
  const drawn = lit([222, 202, 174], level).map((c, k) => c * cast(0.75, 1.14)[k]) as Rgb;
  // Yellow light makes teeth yellow, never green.
  drawn[1] = min(drawn[1], 0.93 * drawn[0] + 0.07 * drawn[2]);
  // A pale head without colours is of one stuff, teeth and all: marble, plaster.
  const stone = (1 - colourful) * smoothstep(165, 190, light);
  const plain = drawn.map((c, k) => mix(c, min(c, 0.95 * skin[k]), stone)) as Rgb;
  const cavity = warm(lit([54, 20, 20], max(level, 0.6)));
  return {
    teeth: ownTeeth ? (plain.map((c, k) => mix(c, ownTeeth[k], 0.85)) as Rgb) : plain,
    gum: warm(lit([172, 104, 108], level * 0.78)),
    cavity,
    cheek: blend(cavity, scaled(lip, 0.5), 0.75),
    shadow: blend(cavity, scaled(lip, 0.5), 0.6),
    tongue: warm(lit([178, 92, 90], level * 0.8)),
  };
}

function saturated(colour: Rgb, factor: number): Rgb {
  const light = brightness(colour);
  return colour.map((c) => clamp(light + (c - light) * factor, 0, 255)) as Rgb;
}

/** `above` over `below`, 0..1. */
export function blend(below: Rgb, above: Rgb, alpha: number): Rgb {
  return [mix(below[0], above[0], alpha), mix(below[1], above[1], alpha), mix(below[2], above[2], alpha)];
}

export function scaled(colour: Rgb, factor: number): Rgb {
  return [colour[0] * factor, colour[1] * factor, colour[2] * factor];
}
