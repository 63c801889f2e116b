import base from './jest.config.mjs';

// The tests that want a GPU: `npm run test:gpu`. They are no part of `npm test`.
export default {
  ...base,
  testMatch: ['<rootDir>/test/gpu/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  globalSetup: '<rootDir>/test/gpu/usable-device.cjs',
  // A full-size pack is compared with the CPU, which takes seconds for a frame.
  testTimeout: 600000,
  // The GPU's memory and time are not shared out between test files.
  maxWorkers: 1,
};
