export default {
  testEnvironment: '<rootDir>/test/support/outer-realm-environment.cjs',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/gpu/', '<rootDir>/test/browser/'],
  transform: {
    '^.+\\.(ts|js|mjs)$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'commonjs' } },
    ],
  },
  // These packages ship ECMAScript modules only; Jest runs CommonJS.
  transformIgnorePatterns: ['/node_modules/(?!(uuid|hls-parser)/)'],
  moduleNameMapper: {
    '^(\\.{1,2}/.*)\\.js$': '$1',
    '^onnxruntime-node$': '<rootDir>/test/support/onnxruntime.cjs',
  },
  // Real models and real FFmpeg on whatever machine this is: generous, so that only what hangs fails.
  testTimeout: 180000,
  maxWorkers: 2,
};
