// Stands for onnxruntime-node in tests; see outer-realm-environment.cjs.
module.exports = globalThis.outerOnnxRuntime;
