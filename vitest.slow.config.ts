import { defineConfig } from 'vitest/config';
import { shared } from './vitest.config.js';

export default defineConfig({
  resolve: shared.resolve,
  test: { ...shared.test, testTimeout: 3_600_000, hookTimeout: 600_000, include: ['tests/**/*.slow.test.ts'] },
});
