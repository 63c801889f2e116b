import base from './jest.config.mjs';

// The tests that want Chromium: `npm run test:browser`. They are no part of `npm test`.
export default {
  ...base,
  testMatch: ['<rootDir>/test/browser/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  // A talk is watched as long as it lasts.
  testTimeout: 120000,
  // They measure, and the cores are not shared out between test files.
  maxWorkers: 1,
};
