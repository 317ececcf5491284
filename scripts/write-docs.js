// Writes docs/commands/, a page a command; `npm run build` first. A test checks that they are current.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { commandPages } from './command-pages.js';

const root = fileURLToPath(new URL('../', import.meta.url));
const read = (path) => JSON.parse(readFileSync(`${root}${path}`, 'utf8'));
const folder = `${root}docs/commands/`;
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
for (const [name, text] of commandPages(read('oclif.manifest.json'), read('package.json').oclif)) {
  writeFileSync(`${folder}${name}`, text);
}
