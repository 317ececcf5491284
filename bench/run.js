// npm run bench -- NAME [options]: runs ours and its peers in one session and prints ratios and peak memory.
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const known = readdirSync(here, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(`${here}${entry.name}/run.js`))
  .map(({ name }) => name);

const [name] = process.argv.splice(2, 1);
if (!known.includes(name)) {
  console.error(`npm run bench -- ${known.join('|')} [options]`);
  process.exit(2);
}
await import(`./${name}/run.js`);
