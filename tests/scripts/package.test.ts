import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { PROJECT } from '../helpers/cli.js';

const readJson = (path: string) => JSON.parse(readFileSync(join(PROJECT, path), 'utf8'));
const { packages } = readJson('package-lock.json') as {
  packages: Record<string, { dev?: boolean; hasInstallScript?: boolean; integrity?: string; inBundle?: boolean }>;
};
const installed = Object.entries(packages).filter(([path]) => path !== '');

it('the lockfile names no install script, so that `npm ci` neither runs one nor asks about it (`npm run lock`)', () => {
  expect(installed.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path)).toEqual([]);
});

it('the lockfile has the hash of every package', () => {
  expect(installed.filter(([, { integrity }]) => !integrity).map(([path]) => path)).toEqual([]);
});

it('no package that others install with us has an install script, but for the one that is packed without it', () => {
  const production = installed.filter(([path, { dev }]) => !dev && existsSync(join(PROJECT, path, 'package.json')));
  const withScript = production.filter(([path]) => {
    const { scripts = {} } = readJson(join(path, 'package.json'));
    return ['preinstall', 'install', 'postinstall'].some((name) => name in scripts);
  });
  expect(production.length).toBeGreaterThan(50);
  expect(withScript.filter(([, { inBundle }]) => !inBundle).map(([path]) => path)).toEqual([]);
  const { bundleDependencies, scripts } = readJson('package.json');
  expect(bundleDependencies).toEqual(['onnxruntime-node']);
  expect(scripts.prepack).toBe('node scripts/prepare.js');
  expect(scripts).not.toHaveProperty('prepare'); // npm asks whoever installs a tarball about it
});
