// Jest runs every test file in a V8 context and with a module registry of its own. Native addons do not like either:
// ONNX Runtime refuses a sandbox Float32Array, and it aborts the process when it is initialised a second time. So the
// sandbox gets the outer realm's typed arrays, and the outer realm's one ONNX Runtime (jest.config.mjs maps its name to
// `onnxruntime.cjs` beside this file).
const { TestEnvironment } = require('jest-environment-node');

class OuterRealmEnvironment extends TestEnvironment {
  async setup() {
    await super.setup();
    Object.assign(this.global, {
      ArrayBuffer,
      BigInt64Array,
      Float32Array,
      Float64Array,
      Int16Array,
      Int32Array,
      Uint16Array,
      Uint8Array,
    });
    // As the service does: ONNX Runtime reports its use unless told not to.
    process.env.ORT_DISABLE_TELEMETRY = '1';
    // Loaded by the tests that want it only.
    Object.defineProperty(this.global, 'outerOnnxRuntime', { get: () => require('onnxruntime-node') });
  }
}

module.exports = OuterRealmEnvironment;
