// Writes package-lock.json anew from package.json. Takes out of it which packages have an install script: `npm ci` then looks for
// none (no package that we use needs its own, one fetches files from a second host, and npm asks for a review of each). Fills in
// the hashes that npm leaves out of packages for other platforms.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const path = `${root}package-lock.json`;
const npm = (args, stdout) =>
  execFileSync('npm', args, {
    cwd: root,
    stdio: ['ignore', stdout, 'inherit'],
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });

npm(['install', '--package-lock-only', '--ignore-scripts', '--no-audit', '--no-fund'], 'inherit');
const lock = JSON.parse(readFileSync(path, 'utf8'));
for (const [location, entry] of Object.entries(lock.packages)) {
  delete entry.hasInstallScript;
  if (location === '' || entry.integrity) continue;
  const name = location.slice(location.lastIndexOf('node_modules/') + 'node_modules/'.length);
  entry.integrity = npm(['view', `${name}@${entry.version}`, 'dist.integrity'], 'pipe').trim();
}
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
