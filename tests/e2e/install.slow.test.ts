import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { PROJECT } from '../helpers/cli.js';
import { sharedFolder, tempFolder } from '../helpers/temp.js';

const folder = sharedFolder();
const online = spawnSync('npm', ['ping'], { stdio: 'ignore', timeout: 60_000 }).status === 0;

/** The majors of npm that Node 20 to 24 come with. */
const VERSIONS = ['10', '11'] as const;
type Version = (typeof VERSIONS)[number];

function npm(version: Version, cwd: string, ...args: readonly string[]): { stdout: string; stderr: string } {
  // Where the runtime's install step ran, it would fetch its files through a proxy that is not there.
  const proxy = { GLOBAL_AGENT_HTTP_PROXY: 'http://127.0.0.1:9', GLOBAL_AGENT_HTTPS_PROXY: 'http://127.0.0.1:9' };
  const env = { ...process.env, ...proxy, npm_config_update_notifier: 'false' };
  const options = { cwd, env, encoding: 'utf8', maxBuffer: 2 ** 26 } as const;
  const { status, stdout, stderr } = spawnSync('npx', ['--yes', `npm@${version}`, ...args], options);
  expect(status, stderr).toBe(0);
  return { stdout, stderr };
}

/** Every file under a folder with what a rebuild would change. */
const stamps = (path: string): string[] =>
  readdirSync(path, { recursive: true, encoding: 'utf8' }).map((name) => {
    const { ino, mtimeMs } = statSync(join(path, name));
    return `${name} ${ino} ${mtimeMs}`;
  });

/** Needs the registry, and nothing else: it fails where an install step asks another host. */
describe.skipIf(!online)('the package as others get it', () => {
  const tarball = (): string => join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz'))!);

  beforeAll(() => {
    const before = stamps(join(PROJECT, 'dist'));
    npm('11', PROJECT, 'pack', '--pack-destination', folder);
    expect(stamps(join(PROJECT, 'dist'))).toEqual(before);
  }, 600_000);

  it('is hardly larger than the runtime for all platforms, which it holds', () => {
    expect(statSync(tarball()).size).toBeLessThan(140e6);
  });

  it.each(VERSIONS)(
    'installs into an empty folder by npm %s, runs no install step, warns of nothing, and works',
    (version) => {
      const consumer = tempFolder();
      writeFileSync(join(consumer, 'package.json'), '{"name":"consumer","private":true}');
      const { stdout, stderr } = npm(version, consumer, 'install', '--foreground-scripts', tarball());
      expect(stderr).not.toMatch(/npm warn/i);
      expect(stdout).not.toMatch(/^> /m); // how npm announces a script
      const runtime = join(consumer, 'node_modules/hpsv3/node_modules/onnxruntime-node/bin');
      expect(existsSync(runtime)).toBe(true);
      expect(readdirSync(runtime, { recursive: true, encoding: 'utf8' }).join()).not.toContain('providers_cuda');
      expect(readFileSync(join(consumer, 'package-lock.json'), 'utf8')).not.toContain('hasInstallScript');
      const out = execFileSync('npx', ['hpsv3', 'demo', '--out', 'demo'], { cwd: consumer, encoding: 'utf8' });
      expect(out).toContain('SHA256SUMS');
      expect(existsSync(join(consumer, 'demo/card/README.md'))).toBe(true);
    },
  );
});

describe.skipIf(!online)('a checkout', () => {
  it.each(VERSIONS)('installs by npm %s without a warning, builds, and runs no install step of others', (version) => {
    const checkout = tempFolder();
    const names = execFileSync('git', ['ls-files'], { cwd: PROJECT, encoding: 'utf8' }).split('\n');
    for (const name of names.filter((each) => each !== '' && existsSync(join(PROJECT, each)))) {
      mkdirSync(dirname(join(checkout, name)), { recursive: true });
      writeFileSync(join(checkout, name), readFileSync(join(PROJECT, name)));
    }
    const { stdout, stderr } = npm(version, checkout, 'ci', '--engine-strict', '--foreground-scripts');
    expect(stderr).not.toMatch(/npm warn/i);
    expect(stdout.match(/^> .*@.*/gm)?.map((line) => line.split(' ').at(-1))).toEqual(['dependencies']);
    expect(existsSync(join(checkout, 'dist/index.js'))).toBe(true);
  });
});
