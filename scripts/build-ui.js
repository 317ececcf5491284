// Bundles packages/label-ui into a folder, dist/label-ui by default: what the labeller's server sends to browsers.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'rolldown';

const from = (path) => fileURLToPath(new URL(`../packages/label-ui/${path}`, import.meta.url));

/** What the bundle carries of others, as their licence asks. */
const notice = () =>
  `/*! With preact.\n${readFileSync(new URL('../node_modules/preact/LICENSE', import.meta.url), 'utf8').trim()}\n*/`;

export async function buildUi(folder) {
  mkdirSync(folder, { recursive: true });
  for (const name of ['label', 'admin']) {
    const { output } = await build({
      input: from(`src/${name}.tsx`),
      transform: { target: 'es2022' },
      output: { format: 'esm', minify: true },
      write: false,
      logLevel: 'warn',
    });
    writeFileSync(join(folder, `${name}.js`), `${notice()}\n${output[0].code}`);
  }
  for (const name of ['index.html', 'admin.html', 'label.css', 'icon.svg'])
    copyFileSync(from(name), join(folder, name));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await buildUi(process.argv[2] ?? fileURLToPath(new URL('../dist/label-ui', import.meta.url)));
}
