// Jest runs tests in a V8 context of its own, whose typed arrays native addons do not recognise: ONNX Runtime
// refuses a sandbox Float32Array. Handing the outer realm's constructors to the sandbox cures it.
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
  }
}

module.exports = OuterRealmEnvironment;
