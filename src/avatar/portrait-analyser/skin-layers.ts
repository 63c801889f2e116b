import { abs, bell, clamp, max, min, mix, smoothstep } from './math.js';
import { alongMouth, fromMouth, inMouth, type MouthFrame } from './mouth-frame.js';
import { brightness, type Patch, type Photo, type Rect } from './photo.js';

/** The two skins around the mouth: their colours and how far inside each its pixels lie. */
export interface SkinLayers {
  readonly upper: Patch;
  readonly lower: Patch;
  /** Signed distance to the lip's edge in pixels, positive on the layer's own side; one per pixel of the patch. */
  readonly upperDistance: Float32Array;
  readonly lowerDistance: Float32Array;
}

/** The part of the picture the mouth's tables are cut from: everything the mouth can show plus the pose's reach. */
export function mouthRect(mouth: MouthFrame, photo: Photo): Rect {
  return around(mouth, photo, 0.62, -0.42, 0.72);
}

/** The part of the frame composed from several layers, for a face at rest. */
export function mouthRegion(mouth: MouthFrame, photo: Photo): Rect {
  const half = max(0.4, (1.25 * max(mouth.left, mouth.right)) / mouth.unit);
  return around(mouth, photo, half, -0.26, 0.44);
}

function around(mouth: MouthFrame, photo: Photo, half: number, top: number, bottom: number): Rect {
  const corners = [-half, half].flatMap((u) =>
    [top, bottom].map((v) => fromMouth(mouth, u * mouth.unit, v * mouth.unit)),
  );
  const xs = corners.map((corner) => corner[0]);
  const ys = corners.map((corner) => corner[1]);
  return photo.clip({ x0: min(...xs), y0: min(...ys), x1: max(...xs), y1: max(...ys) });
}

/**
 * Cuts the skin into an upper and a lower layer along the lips. Beyond its own edge each layer goes on with the colour
 * it has a little inside, along the normal: a half-transparent edge pixel then never shows teeth or the dark gap.
 */
export function cutSkin(photo: Photo, mouth: MouthFrame, rect: Rect): SkinLayers {
  const upper = photo.patch(rect);
  const lower = photo.patch(rect);
  const upperDistance = new Float32Array(upper.width * upper.height);
  const lowerDistance = new Float32Array(upper.width * upper.height);
  // An open mouth's edge carries a rim of the gap's colour; a closed one's dark line belongs to both lips.
  const least = mouth.open ? clamp(0.016 * mouth.unit, 0.5, 3) : 0.8;
  const band = 0.06 * mouth.unit;
  for (let row = 0; row < upper.height; row++) {
    for (let column = 0; column < upper.width; column++) {
      const at = row * upper.width + column;
      const [u, v] = inMouth(mouth, rect.x0 + column, rect.y0 + row);
      const reach = abs(alongMouth(mouth, u));
      const beyond = max(0, reach - 1) * max(mouth.left, mouth.right);
      // The corners of an open mouth are kept a little free of both lips, so that they do not fray.
      const ease = mouth.open ? min(1.2, 0.012 * mouth.unit) * clamp((1.05 - reach) / 0.2, 0, 1) : 0;
      const top = mouth.upperInner(u);
      const bottom = mouth.lowerInner(u);
      // Toward the corners that rim is wider, and the lip thinner.
      const wider = mouth.open ? least * (1 + 0.8 * smoothstep(0.5, 0.85, reach)) : least;
      const upperInset = min(wider, max(0.8, 0.4 * (top - mouth.upperOuter(u))));
      const lowerInset = min(wider, max(0.8, 0.4 * (mouth.lowerOuter(u) - bottom)));
      // Past the corners the cut fades out instead of running on through the cheek.
      const soft = 1 + 0.9 * beyond;
      upperDistance[at] = (top - ease - v) / soft;
      lowerDistance[at] = (v - bottom - ease) / soft;
      if (reach <= 1.02) {
        if (top - v < upperInset && v - top < band) sampleAlong(photo, mouth, u, top - upperInset, upper, at);
        if (v - bottom < lowerInset && bottom - v < band) sampleAlong(photo, mouth, u, bottom + lowerInset, lower, at);
      }
      if (mouth.open) {
        lightenCorner(photo, mouth, u, top - v, -1, upper, at);
        lightenCorner(photo, mouth, u, v - bottom, 1, lower, at);
      }
    }
  }
  return { upper, lower, upperDistance, lowerDistance };
}

/**
 * The corners of an open mouth are dark, and that dark reaches further out than the mesh says. Where the lips are brought
 * together it would stay as a spot: it takes the colour of the skin beside it, with a faint seam.
 *
 * @param into how far into the lip's skin, pixels
 * @param side -1 for the skin above, 1 for that below
 */
function lightenCorner(
  photo: Photo,
  mouth: MouthFrame,
  u: number,
  into: number,
  side: -1 | 1,
  patch: Patch,
  at: number,
): void {
  const unit = mouth.unit;
  const reach = abs(alongMouth(mouth, u));
  const near = smoothstep(0.72, 0.88, reach) * smoothstep(1.5, 1.25, reach) * smoothstep(0.07, 0.04, abs(into) / unit);
  if (near === 0) return;
  const line = (mouth.upperInner(u) + mouth.lowerInner(u)) / 2;
  const skin = photo.at(...fromMouth(mouth, u, line + side * 0.055 * unit));
  const seam = 0.78 - 0.26 * bell((into / (0.022 * unit)) ** 2);
  const colour = patch.rgb.subarray(at * 3, at * 3 + 3);
  const light = max(brightness(colour), 1);
  const wanted = seam * max(brightness(skin), 1);
  // Its own hue is kept in part: lips end in the corner.
  const share = near * smoothstep(0, 0.25, 1 - light / wanted);
  for (let c = 0; c < 3; c++) colour[c] = mix(colour[c], mix(skin[c] * seam, (colour[c] / light) * wanted, 0.5), share);
}

function sampleAlong(photo: Photo, mouth: MouthFrame, u: number, v: number, patch: Patch, at: number): void {
  const [x, y] = fromMouth(mouth, u, v);
  photo.sample(x, y, patch.rgb, at * 3);
}
