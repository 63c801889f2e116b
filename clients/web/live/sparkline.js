/** Values that are shown; older ones fall off on the left. */
const CAPACITY = 240;
/** The scale ends here, unless a value is higher. */
const LEAST_TOP = 2;

/** A small picture of how a number went: a line over a tinted area, with a dashed line where it should be. */
export class Sparkline {
  #canvas;
  /** @type {(number | undefined)[]} */
  #values = [];
  /** @type {number | undefined} */
  #target;

  /** @param {HTMLCanvasElement} canvas drawn in its text colour */
  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** @param {number | undefined} value undefined leaves a gap @param {number | undefined} target */
  push(value, target) {
    this.#values.push(value);
    if (this.#values.length > CAPACITY) this.#values.shift();
    this.#target = target;
    this.#draw();
  }

  clear() {
    this.#values = [];
    this.#target = undefined;
    this.#draw();
  }

  #draw() {
    const context = this.#canvas.getContext('2d');
    if (!context) return;
    const { clientWidth, clientHeight } = this.#canvas;
    const scale = devicePixelRatio;
    this.#canvas.width = Math.round(clientWidth * scale);
    this.#canvas.height = Math.round(clientHeight * scale);
    context.scale(scale, scale);
    context.strokeStyle = context.fillStyle = getComputedStyle(this.#canvas).color;
    const top = Math.max(LEAST_TOP, ...this.#values.map((value) => value ?? 0));
    const y = (/** @type {number} */ value) => clientHeight - 2 - (value / top) * (clientHeight - 4);
    const x = (/** @type {number} */ index) => clientWidth * (1 - (this.#values.length - 1 - index) / (CAPACITY - 1));
    if (this.#target !== undefined) {
      context.globalAlpha = 0.5;
      context.setLineDash([3, 4]);
      line(context, [
        [0, y(this.#target)],
        [clientWidth, y(this.#target)],
      ]);
      context.setLineDash([]);
    }
    for (const run of runsOf(this.#values)) {
      const points = run.map(({ index, value }) => /** @type {[number, number]} */ ([x(index), y(value)]));
      context.globalAlpha = 0.16;
      context.beginPath();
      context.moveTo(points[0][0], clientHeight);
      for (const point of points) context.lineTo(...point);
      context.lineTo(points[points.length - 1][0], clientHeight);
      context.fill();
      context.globalAlpha = 1;
      context.lineWidth = 1.75;
      context.lineJoin = 'round';
      line(context, points);
    }
  }
}

/** @param {CanvasRenderingContext2D} context @param {[number, number][]} points */
function line(context, points) {
  context.beginPath();
  for (const point of points) context.lineTo(...point);
  context.stroke();
}

/**
 * The stretches between the gaps.
 * @param {readonly (number | undefined)[]} values
 */
export function runsOf(values) {
  /** @type {{ index: number, value: number }[][]} */
  const runs = [];
  let open = false;
  for (const [index, value] of values.entries()) {
    if (value !== undefined) {
      if (!open) runs.push([]);
      runs[runs.length - 1].push({ index, value });
    }
    open = value !== undefined;
  }
  return runs;
}
