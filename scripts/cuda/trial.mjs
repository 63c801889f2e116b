// A matrix product and a convolution on the GPU, checked against the same sums in JavaScript. Run as a process of its
// own, because a broken CUDA set-up may end the process and because the loader reads LD_LIBRARY_PATH only at start.
// The last line on standard output is JSON: {"error": "…"}, or {"difference": 1e-7} relative to the largest value.
import { InferenceSession, Tensor } from 'onnxruntime-node';

const SIDE = 64;
const KERNEL = 3;

/** A protobuf field: a length-delimited one for text and bytes, a varint for a small number. */
function field(number, value) {
  if (typeof value === 'number') return Buffer.from([number << 3, value]);
  const bytes = Buffer.from(value);
  const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7];
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}

const join = (...parts) => Buffer.concat(parts);

/** A float32 tensor `name` of the given sizes, as a graph's input or output. */
function value(name, sizes) {
  const shape = join(...sizes.map((size) => field(1, field(1, size))));
  return join(field(1, name), field(2, field(1, join(field(1, 1), field(2, shape)))));
}

function node(operator, inputs, output, ...attributes) {
  return join(...inputs.map((name) => field(1, name)), field(2, output), field(4, operator), ...attributes);
}

/** ONNX: product = a x b (cuBLAS), filtered = product convolved with kernel (cuDNN). */
function graph() {
  const square = [1, 1, SIDE, SIDE];
  // Field 20 is the attribute's type, 7 a list of integers; its tag takes two bytes.
  const pads = field(5, join(field(1, 'pads'), ...[1, 1, 1, 1].map((pad) => field(8, pad)), Buffer.from([0xa0, 1, 7])));
  const body = join(
    field(1, node('MatMul', ['a', 'b'], 'product')),
    field(1, node('Conv', ['product', 'kernel'], 'filtered', pads)),
    field(2, 'trial'),
    field(11, value('a', square)),
    field(11, value('b', square)),
    field(11, value('kernel', [1, 1, KERNEL, KERNEL])),
    field(12, value('product', square)),
    field(12, value('filtered', square)),
  );
  return join(field(1, 8), field(7, body), field(8, field(2, 17)));
}

/** Numbers from -1 to 1 without a pattern. */
function noise(count, seed) {
  return Float32Array.from({ length: count }, (_, index) => Math.sin((index + 1) * seed * 12.9898));
}

function multiply(a, b) {
  const product = new Float64Array(SIDE * SIDE);
  for (let row = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      for (let k = 0; k < SIDE; k++) product[row * SIDE + column] += a[row * SIDE + k] * b[k * SIDE + column];
    }
  }
  return product;
}

function convolve(image, kernel) {
  const at = (y, x) => (y < 0 || x < 0 || y >= SIDE || x >= SIDE ? 0 : image[y * SIDE + x]);
  return Float64Array.from({ length: SIDE * SIDE }, (_, index) => {
    let sum = 0;
    for (let k = 0; k < KERNEL * KERNEL; k++) {
      sum += kernel[k] * at(Math.floor(index / SIDE) + Math.floor(k / KERNEL) - 1, (index % SIDE) + (k % KERNEL) - 1);
    }
    return sum;
  });
}

/** The largest difference, in largest values. */
function difference(found, expected) {
  const largest = expected.reduce((most, number) => Math.max(most, Math.abs(number)), 0);
  return expected.reduce((most, number, index) => Math.max(most, Math.abs(number - found[index])), 0) / largest;
}

async function run(device) {
  const session = await InferenceSession.create(graph(), {
    executionProviders: [device],
    // The service's own setting would hide a GPU that runs nothing: what CUDA cannot run goes to the CPU there.
    extra: { session: { disable_cpu_ep_fallback: device === 'cpu' ? '0' : '1' } },
  });
  const [a, b, kernel] = [noise(SIDE * SIDE, 1), noise(SIDE * SIDE, 2), noise(KERNEL * KERNEL, 3)];
  const { product, filtered } = await session.run({
    a: new Tensor('float32', a, [1, 1, SIDE, SIDE]),
    b: new Tensor('float32', b, [1, 1, SIDE, SIDE]),
    kernel: new Tensor('float32', kernel, [1, 1, KERNEL, KERNEL]),
  });
  const exact = multiply(a, b);
  return Math.max(difference(product.data, exact), difference(filtered.data, convolve(exact, kernel)));
}

try {
  console.log(JSON.stringify({ difference: await run(process.argv[2] ?? 'cuda') }));
} catch (error) {
  console.log(JSON.stringify({ error: error.message }));
}
