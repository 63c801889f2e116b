import sharp from 'sharp';
import { AppError } from '../errors.js';
import type { RgbImage } from './image.js';

/** Pixels a portrait may have, before anything of it is decoded. */
const MAX_PIXELS = 40_000_000;
/** Pixels each side must have. */
const MIN_SIDE = 64;
/** A larger picture is reduced to this on its long side: enough for any frame, and it bounds memory to 12 MB. */
const MAX_SIDE = 2048;
/** A picture that takes longer than this to decode is made to do so. */
const DECODE_SECONDS = 20;
/** What transparent parts show. */
const BACKDROP = { r: 128, g: 128, b: 128 };

const ALLOWED = 'Send a PNG, JPEG or WebP picture of at least 64x64 and at most 40 million pixels.';

/**
 * An uploaded portrait as pixels: upright (EXIF orientation applied), sRGB of 8 bits whatever it was (grey, CMYK, 16
 * bits, another profile, transparent over grey), the first picture of an animation, at most 2048 on its long side.
 *
 * The kind of file is told by its content, never by a name; anything but PNG, JPEG and WebP reaches no decoder.
 * @throws AppError `image_too_large` above 40 million pixels, `invalid_image` for everything else that is wrong
 */
export async function decodePortrait(bytes: Buffer): Promise<RgbImage> {
  if (!isAllowedFormat(bytes)) throw invalid('The file is not a PNG, JPEG or WebP picture.');
  const { width, height } = await readSize(bytes);
  if (width * height > MAX_PIXELS) {
    throw new AppError('image_too_large', `image: The picture has ${width}x${height} pixels. ${ALLOWED}`);
  }
  if (width < MIN_SIDE || height < MIN_SIDE) throw invalid(`The picture has only ${width}x${height} pixels.`);
  try {
    return await decode(bytes);
  } catch (cause) {
    throw invalid('The picture is damaged or cut short.', cause);
  }
}

/** By the first bytes: PNG's signature, JPEG's start of image, RIFF of the form WEBP. */
function isAllowedFormat(bytes: Buffer): boolean {
  return (
    bytes.toString('latin1', 0, 8) === '\x89PNG\r\n\x1a\n' ||
    bytes.toString('latin1', 0, 3) === '\xff\xd8\xff' ||
    (bytes.toString('latin1', 0, 4) === 'RIFF' && bytes.toString('latin1', 8, 12) === 'WEBP')
  );
}

/** Width and height of the (first) picture as stored; nothing is decoded. */
async function readSize(bytes: Buffer): Promise<{ width: number; height: number }> {
  // A PNG's size stands at a fixed place, so it is known even where the rest of the header is missing.
  if (bytes[0] === 0x89 && bytes.length >= 24 && bytes.toString('latin1', 12, 16) === 'IHDR') {
    return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
  }
  try {
    const { width, height } = await sharp(bytes, { limitInputPixels: false, pages: 1 }).metadata();
    return { width, height };
  } catch (cause) {
    throw invalid('The picture has no readable header.', cause);
  }
}

async function decode(bytes: Buffer): Promise<RgbImage> {
  const { data, info } = await sharp(bytes, { limitInputPixels: MAX_PIXELS, pages: 1, failOn: 'error' })
    .timeout({ seconds: DECODE_SECONDS })
    .autoOrient()
    .resize(MAX_SIDE, MAX_SIDE, { fit: 'inside', withoutEnlargement: true })
    .flatten({ background: BACKDROP })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  if (info.channels !== 3) throw new Error(`Expected 3 channels, got ${info.channels}.`);
  // A copy: sharp's memory is its own, and Node 22 and later do not let it be handed to another thread.
  return { width: info.width, height: info.height, data: new Uint8Array(data) };
}

function invalid(what: string, cause?: unknown): AppError {
  return new AppError('invalid_image', `image: ${what} ${ALLOWED}`, { cause });
}
