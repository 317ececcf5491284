import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('./', import.meta.url));

/** Folders of pure code: their tests start no process, and share what they have loaded. */
const UNIT =
  /^core\/((architectures|autodiff|bytes|calibration|card|checkpoint|data|documents|ensemble|evaluation|media|onnx|profiling|release|samples|selection|stats|synthesis|tensor)\/|[\w-]+\.test\.ts$)|^scripts\//;

/** Among those, what runs models of every family, or commands, or draws and floods for long. */
const NOT_UNIT = new Set([
  'core/compatibility.test.ts',
  'core/architectures/conformance.test.ts',
  'core/architectures/decoder.test.ts',
  'core/autodiff/models.test.ts',
  'core/card/charts.test.ts',
  'core/onnx/read.test.ts',
  'scripts/damage.test.ts',
  'scripts/fuzz.test.ts',
  'scripts/probes.test.ts',
  'scripts/gpu-check.test.ts',
  'core/onnx/onnx-proto.test.ts',
]);

/** Folders whose tests start processes or models, and leave nothing behind in their own: they too share what they have loaded. */
const TOGETHER = /^core\/(bundle|cli|drift|explanation|gate|hub|labelling|quantization|serving)\//;

const isUnit = (file: string): boolean => UNIT.test(file) && !NOT_UNIT.has(file);
const isTogether = (file: string): boolean => TOGETHER.test(file);

/** Without the long runs (soaks, kill loops, engines, fuzzing), which are npm run test:slow. */
const files = readdirSync(`${root}tests`, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.test.ts') && !file.endsWith('.slow.test.ts'));
const listed = (wanted: (file: string) => boolean): string[] => files.filter(wanted).map((file) => `tests/${file}`);

/** What all tests have in common, the slow ones included. */
export const shared = {
  // What a program imports is the source that is tested.
  resolve: {
    alias: [
      { find: /^hpsv3$/, replacement: `${root}src/index.ts` },
      { find: /^hpsv3\/(graph|lifecycle)$/, replacement: `${root}src/$1.ts` },
    ],
  },
  test: {
    setupFiles: ['tests/helpers/setup.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    pool: 'forks' as const,
    // A core each on the smallest machine.
    maxWorkers: 2,
    // Commands run in the process of their test, from what was built: loaded as Node loads it, and what they print is caught there.
    server: { deps: { external: [new RegExp(`${root.replaceAll(/[^\w/]/g, '\\$&')}dist/`)] } },
    disableConsoleIntercept: true,
  },
};

export default defineConfig({
  resolve: shared.resolve,
  test: {
    ...shared.test,
    projects: [
      { extends: true, test: { name: 'unit', include: listed(isUnit), isolate: false } },
      { extends: true, test: { name: 'together', include: listed(isTogether), isolate: false } },
      { extends: true, test: { name: 'process', include: listed((file) => !isUnit(file) && !isTogether(file)) } },
    ],
    coverage: {
      include: ['src/**/*.ts'],
      // Floors of the numeric core, by the unit tests alone, a little under what they reach.
      thresholds: {
        'src/core/autodiff/**/*.ts': { lines: 97, branches: 82 },
        'src/core/calibration/**/*.ts': { lines: 88, branches: 74 },
        'src/core/checkpoint/**/*.ts': { lines: 95, branches: 88 },
        'src/core/stats/**/*.ts': { lines: 99, branches: 96 },
        'src/core/tensor/**/*.ts': { lines: 86, branches: 83 },
      },
    },
  },
});
