// Holds what the package runs with to the licences it may have, and every entry of the lockfile to a checksum from the registry.
import { readFileSync } from 'node:fs';

const REGISTRY = 'https://registry.npmjs.org/';
const ALLOWED = new Set([
  ...[
    '0BSD',
    'Apache-2.0',
    'BlueOak-1.0.0',
    'BSD-2-Clause',
    'BSD-3-Clause',
    'CC0-1.0',
    'ISC',
    'MIT',
    'Python-2.0',
    'Unlicense',
  ],
]);
/** Libraries that are linked to as they come, and can be replaced: libvips and what it is built with (ACKS.md). */
const LGPL = { license: 'LGPL-3.0-or-later', packages: /^@img\/sharp-/ };

const { packages } = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'));
const problems = [];
for (const [path, entry] of Object.entries(packages)) {
  if (path === '' || entry.link) continue;
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  if (!entry.integrity?.startsWith('sha512-')) problems.push(`${name}: has no SHA-512 in the lockfile`);
  if (entry.resolved !== undefined && !entry.resolved.startsWith(REGISTRY))
    problems.push(`${name}: does not come from ${REGISTRY}`);
  if (entry.dev || entry.devOptional) continue;
  const allowed = (license) => ALLOWED.has(license) || (license === LGPL.license && LGPL.packages.test(name));
  // `A OR B` needs one of them, `A AND B` all.
  const choices = String(entry.license ?? 'none stated')
    .replace(/[()]/g, '')
    .split(' OR ');
  if (!choices.some((choice) => choice.split(' AND ').every(allowed)))
    problems.push(`${name}: its licence is ${entry.license}`);
}
for (const problem of problems) console.error(problem);
console.log(
  `licences: ${Object.keys(packages).length - 1} packages of the lockfile checked, ${problems.length} problem(s)`,
);
process.exitCode = problems.length > 0 ? 1 : 0;
