// Compiles src and packages/label-ui into dist. The old dist stays in use until the new one is whole, and takes its place by a rename: whatever runs
// from it, here or in another terminal, finds its files. With --if-changed, nothing is done where dist is of these sources.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildUi } from './build-ui.js';
import { bundleZod } from './bundle-zod.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const at = (...path) => join(root, ...path);
/** Which sources dist is of; the last file of a build. */
const STAMP = 'sources.sha256';

const sources = [
  ...['src', 'packages/label-ui'].flatMap((folder) =>
    readdirSync(at(folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort(),
  ),
  ...[
    'package.json',
    'tsconfig.json',
    'tsconfig.build.json',
    'scripts/build.js',
    'scripts/build-ui.js',
    'scripts/bundle-zod.js',
    'scripts/write-manifest.js',
    'scripts/command-pages.js',
  ].map((name) => at(name)),
];
const hash = createHash('sha256');
for (const path of sources) hash.update(`${path.slice(root.length)}\0`).update(readFileSync(path));
const stamp = `${hash.digest('hex')}\n`;

const isCurrent = () => existsSync(at('dist', STAMP)) && readFileSync(at('dist', STAMP), 'utf8') === stamp;
if (!process.argv.includes('--if-changed') || !isCurrent()) {
  const staging = at(`.tmp-build-${process.pid}`);
  try {
    mkdirSync(staging);
    const compiler = at('node_modules/typescript/bin/tsc');
    const options = ['-p', at('tsconfig.build.json'), '--outDir', join(staging, 'dist')];
    execFileSync(process.execPath, [compiler, ...options], { stdio: 'inherit' });
    await buildUi(join(staging, 'dist/label-ui'));
    await bundleZod(join(staging, 'dist/core/zod.js'));
    if (existsSync(at('dist'))) renameSync(at('dist'), join(staging, 'old'));
    renameSync(join(staging, 'dist'), at('dist'));
    execFileSync(process.execPath, [at('scripts/write-manifest.js')], { stdio: 'inherit' });
    writeFileSync(at('dist', STAMP), stamp);
  } catch (error) {
    if (error.status === undefined) throw error; // what failed has said why
    process.exitCode = error.status;
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}
