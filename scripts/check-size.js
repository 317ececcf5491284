// Bounds what is loaded before anything is done: by `import 'hpsv3'` and by `hpsv3 --help`, in files and bytes of JavaScript.
// Counted by V8's own list of scripts, so that it does not depend on the machine; times are measured by `npm run bench -- startup`.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { scriptsOf } from './loaded-scripts.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const INDEX = pathToFileURL(join(root, 'dist/index.js')).href;

/** Ten per cent over what it takes today. */
const LIMITS = [
  {
    what: "import 'hpsv3'",
    args: ['--input-type=module', '--eval', `await import('${INDEX}')`],
    files: 66,
    kilobytes: 275,
  },
  { what: 'hpsv3 --help', args: [join(root, 'bin/run.js'), '--help'], files: 2, kilobytes: 3 },
  { what: 'hpsv3 score --help', args: [join(root, 'bin/run.js'), 'score', '--help'], files: 126, kilobytes: 630 },
];

for (const { what, args, files, kilobytes } of LIMITS) {
  const scripts = scriptsOf(args);
  const size = scripts.reduce((sum, path) => sum + statSync(path).size, 0) / 1000;
  const fits = scripts.length <= files && size <= kilobytes;
  console.log(
    `${what}: ${scripts.length} files (at most ${files}), ${size.toFixed(0)} kB (at most ${kilobytes})${fits ? '' : ': TOO LARGE'}`,
  );
  if (process.env.LIST) for (const path of scripts) console.log(`  ${statSync(path).size} ${path}`);
  if (!fits) process.exitCode = 1;
}
