import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';

export default defineConfig({
  // What a program imports is the source that is tested.
  resolve: {
    alias: [
      { find: /^hpsv3$/, replacement: fileURLToPath(new URL('./src/index.ts', import.meta.url)) },
      { find: /^hpsv3\/(graph|lifecycle)$/, replacement: fileURLToPath(new URL('./src/$1.ts', import.meta.url)) },
    ],
  },
  test: {
    include: ['tests/**/*.test.ts'],
    // Long runs (soaks, kill loops, engines, fuzzing): npm run test:slow.
    exclude: [...configDefaults.exclude, 'tests/**/*.slow.test.ts'],
    setupFiles: ['tests/helpers/setup.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    pool: 'forks',
    // A core each on the smallest machine: most of the time is spent in processes that the tests start.
    maxWorkers: 2,
  },
});
