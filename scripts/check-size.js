// Bounds what is loaded before anything is done: by `import 'hpsv3'` and by `hpsv3 --help`, in files and bytes of JavaScript.
// Counted by V8's own list of scripts, so that it does not depend on the machine; times are measured by `npm run bench -- startup`.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const INDEX = pathToFileURL(join(root, 'dist/index.js')).href;

/** Ten per cent over what it takes today. */
const LIMITS = [
  {
    what: "import 'hpsv3'",
    args: ['--input-type=module', '--eval', `await import('${INDEX}')`],
    files: 300,
    kilobytes: 1700,
  },
  { what: 'hpsv3 --help', args: [join(root, 'bin/run.js'), '--help'], files: 1, kilobytes: 3 },
  { what: 'hpsv3 score --help', args: [join(root, 'bin/run.js'), 'score', '--help'], files: 220, kilobytes: 900 },
];

/** The scripts that a process loads from files. */
function scriptsOf(args) {
  const folder = mkdtempSync(join(tmpdir(), 'hpsv3-size-'));
  try {
    execFileSync(process.execPath, args, {
      env: { ...process.env, NODE_V8_COVERAGE: folder },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const urls = readdirSync(folder).flatMap((name) =>
      JSON.parse(readFileSync(join(folder, name), 'utf8')).result.map(({ url }) => url),
    );
    return [...new Set(urls)]
      .filter((url) => url.startsWith('file:'))
      .map((url) => fileURLToPath(url))
      .filter((path) => existsSync(path)); // what is evaluated has no file
  } finally {
    rmSync(folder, { recursive: true });
  }
}

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
