import { abs, clamp, max, min, mix, percentile, smoothstep } from './math.js';
import { alongMouth, fromMouth, lipSlope, type MouthFrame, UNIT_MM } from './mouth-frame.js';
import { brightness, type Patch, type Photo, type Rgb, saturation } from './photo.js';

/** The photo's own upper teeth. */
export interface OwnTeeth {
  readonly colour: Rgb;
  /** V of the cutting edge in the middle, pixels. */
  readonly edge: number;
}

/**
 * The photo's own upper teeth, if its mouth is open and shows them: bright against the skin, little colour, and in the
 * upper half of the gap (else it is the tongue, or lower teeth).
 */
export function findOwnTeeth(photo: Photo, mouth: MouthFrame, skinLight: number): OwnTeeth | undefined {
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

/**
 * Puts the photo's teeth over the drawn ones where they show, feathered; they are never stretched or continued. Gaps
 * between them, their shadow and what is lip would stay as crumbs when the mouth moves: there the drawn ones show.
 */
export function keepOwnTeeth(
  photo: Photo,
  mouth: MouthFrame,
  u: number,
  v: number,
  own: OwnTeeth,
  teeth: Patch,
  alpha: Float32Array,
  at: number,
): void {
  const mm = mouth.unit / UNIT_MM;
  const inset = min(v - mouth.upperInner(u) - 1.6, mouth.lowerInner(u) - v - 2);
  const within =
    clamp(inset / 2.6, 0, 1) *
    clamp((0.93 - abs(alongMouth(mouth, u))) / 0.06, 0, 1) *
    clamp((own.edge + lipSlope(mouth) * u + 0.9 * mm - v) / (0.9 * mm), 0, 1);
  if (within <= 0) return;
  const share = within * enamelAround(photo, mouth, u, v, own);
  const colour = photo.at(...fromMouth(mouth, u, v));
  for (let c = 0; c < 3; c++) teeth.rgb[at * 3 + c] = mix(teeth.rgb[at * 3 + c], colour[c], share);
  alpha[at] = max(alpha[at], share);
}

/** How much a place and what is right beside it look like enamel, 0..1. */
function enamelAround(photo: Photo, mouth: MouthFrame, u: number, v: number, own: OwnTeeth): number {
  const light = max(brightness(own.colour), 1);
  let share = 1;
  for (const [du, dv] of [
    [0, 0],
    [1.2, 0],
    [-1.2, 0],
    [0, 1.2],
    [0, -1.2],
  ]) {
    const colour = photo.at(...fromMouth(mouth, u + du, v + dv));
    const red = (colour[0] - colour[1]) / max(brightness(colour), 1);
    const ownRed = (own.colour[0] - own.colour[1]) / light;
    share = min(share, smoothstep(0.42, 0.66, brightness(colour) / light), smoothstep(0.3, 0.14, red - ownRed));
  }
  return share;
}
