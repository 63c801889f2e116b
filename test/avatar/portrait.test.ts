import { randomBytes } from 'node:crypto';
import sharp, { type Sharp } from 'sharp';
import type { RgbImage } from '../../src/avatar/image.js';
import { decodePortrait } from '../../src/avatar/portrait.js';
import { AppError, type ErrorCode } from '../../src/errors.js';

type Rgb = readonly [number, number, number];

const RED: Rgb = [220, 30, 40];
const BLUE: Rgb = [20, 60, 200];

/** A picture, red above and blue below, with a white top left corner: no orientation looks like another. */
function pattern(width = 120, height = 160): Sharp {
  const data = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const corner = x < width / 4 && y < height / 4;
      data.set(corner ? [255, 255, 255] : y < height / 2 ? RED : BLUE, (y * width + x) * 3);
    }
  }
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/** The pixel at a fraction of the width and height. */
function pixel({ width, height, data }: RgbImage, x: number, y: number): number[] {
  const at = (Math.floor(y * height) * width + Math.floor(x * width)) * 3;
  return [...data.subarray(at, at + 3)];
}

function expectColour(actual: number[], expected: Rgb, tolerance: number): void {
  for (let c = 0; c < 3; c++) expect(Math.abs(actual[c] - expected[c])).toBeLessThanOrEqual(tolerance);
}

function expectPattern(image: RgbImage, tolerance: number): void {
  expect(image.data).toHaveLength(image.width * image.height * 3);
  expectColour(pixel(image, 0.1, 0.1), [255, 255, 255], tolerance);
  expectColour(pixel(image, 0.75, 0.25), RED, tolerance);
  expectColour(pixel(image, 0.5, 0.75), BLUE, tolerance);
}

async function expectRefused(bytes: Buffer, code: ErrorCode, detail: RegExp): Promise<void> {
  const error = await decodePortrait(bytes).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AppError);
  expect((error as AppError).code).toBe(code);
  expect((error as AppError).message).toMatch(/^image: /);
  expect((error as AppError).message).toMatch(detail);
}

/** The first 33 bytes of a PNG: signature and IHDR, and nothing else. */
function pngHeader(width: number, height: number): Buffer {
  const header = Buffer.alloc(33);
  header.write('\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR', 0, 'latin1');
  header.writeUInt32BE(width, 16);
  header.writeUInt32BE(height, 20);
  header.set([8, 2, 0, 0, 0], 24);
  return header;
}

describe('decodePortrait takes', () => {
  test.each(['png', 'jpeg', 'webp'] as const)('%s', async (format) => {
    const image = await decodePortrait(await pattern().toFormat(format, { quality: 95 }).toBuffer());
    expect([image.width, image.height]).toEqual([120, 160]);
    expectPattern(image, format === 'png' ? 0 : 20);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('a JPEG of EXIF orientation %i as the upright one', async (orientation) => {
    // The stored picture is the upright one, turned the other way: [degrees, mirrored before turning].
    const turns: Record<number, [number, boolean]> = {
      1: [0, false],
      2: [0, true],
      3: [180, false],
      4: [180, true],
      5: [270, true],
      6: [270, false],
      7: [90, true],
      8: [90, false],
    };
    const [degrees, mirrored] = turns[orientation];
    const mirror = await pattern().flop(mirrored).png().toBuffer();
    const stored = await sharp(mirror)
      .rotate(degrees)
      .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
      .withMetadata({ orientation })
      .toBuffer();
    const image = await decodePortrait(stored);
    expect([image.width, image.height]).toEqual([120, 160]);
    expectPattern(image, 8);
  });

  test('a CMYK JPEG', async () => {
    // Colours that printing inks can show.
    for (const [r, g, b] of [
      [200, 150, 120],
      [255, 255, 255],
    ]) {
      const skin = { width: 100, height: 100, channels: 3, background: { r, g, b } } as const;
      const bytes = await sharp({ create: skin }).toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer();
      expect((await sharp(bytes).metadata()).space).toBe('cmyk');
      const image = await decodePortrait(bytes);
      expect(image.data).toHaveLength(100 * 100 * 3);
      expectColour(pixel(image, 0.5, 0.5), [r, g, b], 10);
    }
  });

  test('grey, and grey of 16 bits with transparency', async () => {
    for (const source of [pattern().toColourspace('b-w'), pattern().ensureAlpha().toColourspace('grey16')]) {
      const image = await decodePortrait(await source.png().toBuffer());
      expect(image.data).toHaveLength(120 * 160 * 3);
      expectColour(pixel(image, 0.1, 0.1), [255, 255, 255], 0);
      const [r, g, b] = pixel(image, 0.5, 0.75);
      expect([g, b]).toEqual([r, r]);
      expect(r).toBeLessThan(pixel(image, 0.75, 0.25)[0]);
    }
  });

  test('16 bits a channel', async () => {
    const bytes = await pattern().toColourspace('rgb16').png().toBuffer();
    expect((await sharp(bytes).metadata()).depth).toBe('ushort');
    expectPattern(await decodePortrait(bytes), 1);
  });

  test('transparency, over mid-grey', async () => {
    const clear = { width: 80, height: 80, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 0 } } as const;
    const image = await decodePortrait(await sharp({ create: clear }).png().toBuffer());
    expectColour(pixel(image, 0.5, 0.5), [128, 128, 128], 1);
  });

  test('the first picture of an animated WebP', async () => {
    const frames = [await pattern().png().toBuffer(), await pattern().negate().png().toBuffer()];
    const bytes = await sharp(frames, { join: { animated: true } })
      .webp({ lossless: true })
      .toBuffer();
    expect((await sharp(bytes).metadata()).pages).toBe(2);
    const image = await decodePortrait(bytes);
    expect([image.width, image.height]).toEqual([120, 160]);
    expectPattern(image, 0);
  });

  test('a large picture, reduced to 2048 on its long side', async () => {
    const image = await decodePortrait(await pattern(3000, 4000).jpeg().toBuffer());
    expect([image.width, image.height]).toEqual([1536, 2048]);
    expectPattern(image, 20);
  });

  test('exactly 64x64', async () => {
    expect((await decodePortrait(await pattern(64, 64).png().toBuffer())).width).toBe(64);
  });
});

describe('decodePortrait refuses', () => {
  test('a picture of 1x1, and one a pixel too small', async () => {
    await expectRefused(await pattern(1, 1).png().toBuffer(), 'invalid_image', /1x1.*64x64/);
    await expectRefused(await pattern(63, 500).jpeg().toBuffer(), 'invalid_image', /63x500.*64x64/);
  });

  test('the header of a PNG of 30000x30000, in no time', async () => {
    const start = performance.now();
    await expectRefused(pngHeader(30000, 30000), 'image_too_large', /30000x30000.*40 million/);
    expect(performance.now() - start).toBeLessThan(500);
  });

  test('a WebP and a JPEG of more than 40 million pixels', async () => {
    const large = { width: 8000, height: 5001, channels: 3, background: '#123456' } as const;
    await expectRefused(await sharp({ create: large }).webp({ effort: 0 }).toBuffer(), 'image_too_large', /8000x5001/);
    await expectRefused(await sharp({ create: large }).jpeg().toBuffer(), 'image_too_large', /8000x5001/);
  });

  test('a PNG with a good header and nothing behind it', async () => {
    await expectRefused(pngHeader(200, 200), 'invalid_image', /damaged/);
  });

  test.each(['png', 'jpeg', 'webp'] as const)('a %s cut in half', async (format) => {
    const bytes = await pattern(400, 400).toFormat(format).toBuffer();
    await expectRefused(bytes.subarray(0, bytes.length / 2), 'invalid_image', /damaged|header/);
  });

  test('text, noise and nothing at all', async () => {
    for (const bytes of [Buffer.from('Not a picture, whatever its name.'), randomBytes(5000), Buffer.alloc(0)]) {
      await expectRefused(bytes, 'invalid_image', /not a PNG, JPEG or WebP/);
    }
  });

  test('noise behind the signature of each format', async () => {
    for (const signature of ['\x89PNG\r\n\x1a\n', '\xff\xd8\xff\xe0', 'RIFF\xff\x00\x00\x00WEBPVP8 ']) {
      const bytes = Buffer.concat([Buffer.from(signature, 'latin1'), Buffer.alloc(3000, 0x5a)]);
      await expectRefused(bytes, 'invalid_image', /header|damaged/);
    }
  });

  test('formats that a decoder knows but the service does not take', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100"/>');
    for (const bytes of [svg, await pattern().gif().toBuffer(), await pattern().tiff().toBuffer()]) {
      await expectRefused(bytes, 'invalid_image', /not a PNG, JPEG or WebP/);
    }
  });
});
