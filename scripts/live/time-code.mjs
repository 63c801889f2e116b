// A code in the picture that survives H.264 and can be read from pixels: in Node and in a browser.
//
// Black and white squares, 32 in a row and three rows, at the top of the frame. 96 bits, the highest first:
//   32  wall clock when the frame was drawn, milliseconds since the epoch modulo 2^32
//   24  number of the frame on its timeline, modulo 2^24
//    8  number of the session in its service, modulo 2^8
//   16  click: 0 for none, else 1 + the click's sample (at 16 kHz) within this frame's sound
//   16  CRC-16 (CCITT, 0xFFFF) of the ten bytes before it

const COLUMNS = 32;
const ROWS = 3;
const BYTES = (COLUMNS * ROWS) / 8;
/** Luma of black and white in video range. */
const BLACK = 16;
const WHITE = 235;
const NEUTRAL_CHROMA = 128;
/** Luma in the middle of a square that is neither clearly black nor clearly white leaves the code unread. */
const DOUBT = 30;

/** Side of a square in pixels, in a picture so wide. */
export function squareSide(width) {
  return Math.floor(width / COLUMNS);
}

/** Rows of pixels that the code takes, in a picture so wide; even, as chroma needs. */
export function codeHeight(width) {
  return Math.ceil((ROWS * squareSide(width)) / 2) * 2;
}

/**
 * Draws a code into an I420 frame.
 * @param frame width * height * 3/2 bytes; changed in place
 * @param code `{drawnAt, frame, session, click}`: epoch milliseconds, whole numbers, and the click's sample or undefined
 */
export function drawCode(frame, width, height, code) {
  const side = squareSide(width);
  const bytes = toBytes(code);
  const rows = codeHeight(width);
  frame.fill(BLACK, 0, rows * width);
  for (let bit = 0; bit < BYTES * 8; bit++) {
    if (!((bytes[bit >> 3] >> (7 - (bit & 7))) & 1)) continue;
    const left = (bit % COLUMNS) * side;
    const top = Math.floor(bit / COLUMNS) * side;
    for (let y = top; y < top + side; y++) frame.fill(WHITE, y * width + left, y * width + left + side);
  }
  for (const plane of [0, 1]) {
    const start = width * height + plane * ((width * height) / 4);
    frame.fill(NEUTRAL_CHROMA, start, start + ((rows / 2) * width) / 2);
  }
}

/**
 * Reads a code.
 * @param pixels brightness of the picture's top, 0..255, row after row
 * @param width of the picture; `pixels` has at least `codeHeight(width)` rows
 * @param options `step`: bytes from one pixel to the next (4 for RGBA, of which the green is taken by `offset` 1);
 *   `now`: any time within three weeks of the drawing, epoch milliseconds
 * @returns as `drawCode` takes it, or undefined where there is none that can be trusted
 */
export function readCode(pixels, width, { step = 1, offset = 0, now = Date.now() } = {}) {
  const side = squareSide(width);
  const inset = Math.floor(side / 4);
  const bytes = new Uint8Array(BYTES);
  for (let bit = 0; bit < BYTES * 8; bit++) {
    const left = (bit % COLUMNS) * side;
    const top = Math.floor(bit / COLUMNS) * side;
    let sum = 0;
    let count = 0;
    for (let y = top + inset; y < top + side - inset; y++) {
      for (let x = left + inset; x < left + side - inset; x++, count++) sum += pixels[(y * width + x) * step + offset];
    }
    const brightness = sum / count;
    if (Math.abs(brightness - 128) < DOUBT) return undefined;
    if (brightness > 128) bytes[bit >> 3] |= 1 << (7 - (bit & 7));
  }
  return fromBytes(bytes, now);
}

function toBytes({ drawnAt, frame, session, click }) {
  const bytes = new Uint8Array(BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.round(drawnAt) % 2 ** 32);
  view.setUint32(4, (frame % 2 ** 24) * 256 + (session % 256));
  view.setUint16(8, click === undefined ? 0 : click + 1);
  view.setUint16(10, crc16(bytes.subarray(0, 10)));
  return bytes;
}

function fromBytes(bytes, now) {
  const view = new DataView(bytes.buffer);
  if (view.getUint16(10) !== crc16(bytes.subarray(0, 10))) return undefined;
  const click = view.getUint16(8);
  // The nearest time to now that has these 32 bits.
  const behind = (((Math.round(now) - view.getUint32(0) + 2 ** 31) % 2 ** 32) + 2 ** 32) % 2 ** 32;
  return {
    drawnAt: Math.round(now) - (behind - 2 ** 31),
    frame: Math.floor(view.getUint32(4) / 256),
    session: view.getUint8(7),
    click: click === 0 ? undefined : click - 1,
  };
}

function crc16(bytes) {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc;
}
