import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';

export default defineConfig({
  // What an extension imports is the source that is tested.
  resolve: { alias: { 'hpsv3/graph': fileURLToPath(new URL('./src/graph.ts', import.meta.url)) } },
  test: {
    include: ['tests/**/*.test.ts'],
    // Long runs (soaks, kill loops, engines, fuzzing): npm run test:slow.
    exclude: [...configDefaults.exclude, 'tests/**/*.slow.test.ts'],
    setupFiles: ['tests/helpers/setup.ts'],
    testTimeout: 180_000,
    pool: 'forks',
    // A core each on the smallest machine: most of the time is spent in processes that the tests start.
    maxWorkers: 2,
  },
});
