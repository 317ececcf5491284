import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { collect, HPSV3, hpsv3Process, PROJECT } from '../../helpers/cli.js';

const shell = (script: string) =>
  promisify(execFile)('bash', ['-c', script, 'bash', process.execPath, HPSV3]).then(
    ({ stdout, stderr }) => ({ stdout, stderr }),
    ({ stdout, stderr, code }) => ({ stdout, stderr, code }),
  );
const posix = process.platform !== 'win32';

describe('the command line', () => {
  it('tells its version', async () => {
    const { version } = JSON.parse(readFileSync(`${PROJECT}package.json`, 'utf8'));
    const { code, stdout } = await hpsv3Process(['--version']);
    expect(code).toBe(0);
    expect(stdout).toBe(`hpsv3/${version} ${process.platform}-${process.arch} node-${process.version}\n`);
  });

  it('lists its commands', async () => {
    const { code, stdout } = await hpsv3Process(['--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/doctor\s+Print versions/);
  });

  it.skipIf(process.getuid?.() !== 0)('runs for a user whom the system does not know, as in a container', async () => {
    const env = { PATH: process.env['PATH'], HOME: tmpdir() };
    const child = spawn(process.execPath, [HPSV3, 'inspect', '--help'], { uid: 54_321, gid: 54_321, env });
    const { code, stdout, stderr } = await collect(child);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('USAGE');
  });

  it('suggests a command for a mistyped one', async () => {
    const { code, stdout, stderr } = await hpsv3Process(['doktor']);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('Did you mean doctor?');
  });

  it('reports an unknown command as JSON', async () => {
    const { code, stdout, stderr } = await hpsv3Process(['frobnicate', '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'USAGE', details: { command: 'frobnicate' } });
    expect(stderr).toBe('');
  });

  it('suggests a flag for a mistyped one', async () => {
    const { code, stderr } = await hpsv3Process(['doctor', '--jsn']);
    expect(code).toBe(2);
    expect(stderr).toContain('Did you mean --json?');
  });

  it('reports an argument too many as JSON when asked by environment', async () => {
    const { code, stdout } = await hpsv3Process(['doctor', 'extra'], { env: { HPSV3_CONTENT_TYPE: 'json' } });
    expect(code).toBe(2);
    expect(JSON.parse(stdout).error.message).toContain('extra');
  });

  it.each([{ NO_COLOR: '1' }, {}])('uses no escape codes off a terminal (%o)', async (env) => {
    const { stdout, stderr } = await hpsv3Process(['doctor', '--wrong'], { env });
    expect(stdout + stderr).not.toContain('\u001b');
  });

  it('uses no escape codes in JSON even when colour is forced', async () => {
    const { stdout } = await hpsv3Process(['doctor', '--json'], { env: { FORCE_COLOR: '1' } });
    expect(stdout).not.toContain('\u001b');
    JSON.parse(stdout);
  });
});

describe.runIf(posix)('unusual surroundings', () => {
  it('ends quietly when nobody reads the output', async () => {
    const { stdout, stderr } = await shell('set -o pipefail; "$1" "$2" doctor --json | true; echo "$?"');
    expect(stdout).toBe('0\n');
    expect(stderr).toBe('');
  });

  it.runIf(existsSync('/dev/full'))('exits 74 when standard output is full', async () => {
    const result = await shell('"$1" "$2" doctor > /dev/full');
    expect(result).toMatchObject({ code: 74, stderr: expect.stringContaining('ENOSPC') });
    expect(result.stderr).not.toMatch(/^\s+at /m);
  });

  it.each([undefined, '/nonexistent', '/proc'])('works with HOME=%s', async (HOME) => {
    const { code } = await hpsv3Process(['doctor'], { env: { HOME } });
    expect(code).toBe(0);
  });

  it('works in a folder that was deleted', async () => {
    const { stdout } = await shell('cd "$(mktemp -d)" && rmdir "$PWD" && "$1" "$2" doctor --json');
    expect(JSON.parse(stdout).telemetry).toBe('off');
  });

  /** Runs lines of a program that has the guards, and is in the middle of writing a file. */
  function guarded(folder: string, lines: string) {
    const dist = new URL('../../../dist/core/', import.meta.url);
    const script = `import { StagedOutput } from '${dist}bytes/output.js';
      import { installProcessGuards } from '${dist}cli/process-guards.js';
      installProcessGuards({ json: true });
      await (await StagedOutput.open('${folder}/model.onnx')).create();
      ${lines}`;
    return spawn(process.execPath, ['--input-type=module', '-e', script]);
  }

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('exits after %s with %i, one JSON document and no temporary file', async (signal, exit) => {
    const folder = mkdtempSync(join(tmpdir(), 'hpsv3-signal-'));
    const child = guarded(folder, "console.error('ready'); setInterval(() => {}, 1000);");
    child.stderr.once('data', () => {
      expect(readdirSync(folder)).toHaveLength(1);
      child.kill(signal);
    });
    const { code, stdout } = await collect(child);
    expect(code).toBe(exit);
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'INTERRUPTED', details: { signal } });
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
  });

  it.each([
    [
      'releases what it holds',
      "signal.addEventListener('abort', () => fail(new Error('ended')))",
      'released Half of it.',
    ],
    ['cannot be stopped', '{}', ''],
  ])('stops work that %s within a second, and says what is kept', async (_, stopped, printed) => {
    const folder = mkdtempSync(join(tmpdir(), 'hpsv3-stopped-'));
    const child = guarded(
      folder,
      `const { interruptible } = await import('${new URL('../../../dist/core/', import.meta.url)}cli/interruption.js');
      const work = (signal) => new Promise((done, fail) => { ${stopped}; console.error('ready'); setInterval(() => {}, 1000); });
      await interruptible(() => 'Half of it.', work).catch((error) => { console.error('released', error.hint); process.exit(130); });`,
    );
    child.stderr.once('data', () => child.kill('SIGINT'));
    const { code, stdout, stderr } = await collect(child);
    expect(code).toBe(130);
    expect(stderr).toContain(printed);
    if (printed === '') expect(JSON.parse(stdout).error).toMatchObject({ code: 'INTERRUPTED', hint: 'Half of it.' });
    rmSync(folder, { recursive: true });
  });

  it('exits 1 with JSON and no temporary file after a bug in a callback', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hpsv3-bug-'));
    const { code, stdout, stderr } = await collect(guarded(folder, 'setTimeout(() => undefined.length);'));
    expect(code).toBe(1);
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'INTERNAL', message: 'a bug in hpsv3 (TypeError)' });
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
  });
});

describe('a fast start', () => {
  /** Files the program loaded, from the coverage that V8 writes at exit. */
  async function loadedFiles(args: string[], env: Record<string, string> = {}): Promise<string[]> {
    const folder = mkdtempSync(join(tmpdir(), 'hpsv3-loaded-'));
    try {
      await hpsv3Process(args, { env: { ...env, NODE_V8_COVERAGE: folder } });
      const reports = readdirSync(folder).map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')));
      const urls: string[] = reports.flatMap(({ result }) => result.map(({ url }: { url: string }) => url));
      return urls.filter((url) => url.startsWith('file:'));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** The program, and the one that refuses a Node that is too old before anything else is read. */
  const PROGRAM = ['run', 'floor'].map((name) => expect.stringMatching(new RegExp(`bin/${name}\\.js$`)));

  it('answers --version without loading anything but the program', async () => {
    expect(await loadedFiles(['--version'])).toEqual(PROGRAM);
  });

  it.each([[['--help']], [[]]])('answers %j off a terminal by itself, with the text of the framework', async (args) => {
    expect(await loadedFiles(args)).toEqual(PROGRAM);
    const [quick, whole] = [await hpsv3Process(args), await hpsv3Process(args, { env: { OCLIF_COLUMNS: '80' } })];
    expect(quick).toEqual(whole);
    expect(quick.stdout).toContain('all commands');
  });

  it('prints --help for a width of its own without loading a command or a heavy package', async () => {
    const files = await loadedFiles(['--help'], { OCLIF_COLUMNS: '100' });
    expect(files.some((file) => file.endsWith('dist/core/cli/run.js'))).toBe(true);
    expect(files.filter((file) => /onnxruntime|\/zod[./]|\/yaml\/|hyparquet|dist\/commands/.test(file))).toEqual([]);
  });

  it('has a manifest of all commands after the build', () => {
    const { commands } = JSON.parse(readFileSync(`${PROJECT}oclif.manifest.json`, 'utf8'));
    const files = readdirSync(`${PROJECT}dist/commands`, { recursive: true }).map(String);
    const modules = files.filter((file) => file.endsWith('.js')).map((file) => file.slice(0, -3).replaceAll('/', ':'));
    const ids = modules.map((id) => id.replace(/:index$/, '')); // batch/index.js is the command batch
    expect(Object.keys(commands).sort()).toEqual(ids.sort());
  });
});
