import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CliResult, collect, HPSV3, hpsv3Process, PROJECT } from '../helpers/cli.js';
import { goldenModel } from '../helpers/models.js';
import { exportFile, PICO } from '../helpers/pico.js';
import { cpuSeconds, modelProcessesOf, until } from '../helpers/processes.js';
import { tempFolder } from '../helpers/temp.js';
import { killAtPoints } from './kill-points.js';

const posix = process.platform !== 'win32';
const isRoot = process.getuid?.() === 0;
const NAME = 'model.onnx';
const REPORT = `${NAME}.report.json`;

let folder: string;
let out: string;
beforeEach(() => {
  folder = tempFolder();
  out = join(folder, NAME);
});

const bare = (path: string): string[] => ['export', '--checkpoint', PICO.checkpoint, '--out', path];
const argsOf = (path: string, ...more: string[]): string[] => [...bare(path), '--modality', 'text', ...more];
const run = (...args: string[]): ChildProcess => spawn(process.execPath, [HPSV3, ...args]);
const start = (...more: string[]): ChildProcess => run(...argsOf(out, ...more));
const shell = (script: string, ...args: string[]): Promise<CliResult> =>
  collect(spawn('bash', ['-c', script, 'bash', process.execPath, HPSV3, ...args]));

/** Runs its arguments in a folder that is no more. */
const DELETED_FOLDER = 'cd "$(mktemp -d)" && rmdir "$PWD" && exec "$@"';

const staging = (): string[] => readdirSync(folder).filter((name) => name.startsWith('.tmp-'));
const isWriting = (): boolean => staging().some((name) => existsSync(join(folder, name, NAME)));
const isJudging = (child: ChildProcess): boolean => isWriting() && modelProcessesOf(child.pid!).length > 0;
const errorOf = ({ stdout }: CliResult) => JSON.parse(stdout).error;

describe.runIf(posix)('an export that is interrupted', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('by %s exits %i, with the old file in place and nothing beside it', async (signal, exit) => {
    writeFileSync(out, 'old');
    const child = start('--force', '--json');
    await until(() => isJudging(child));
    const [pid, result] = [child.pid!, collect(child)];
    child.kill(signal);
    const { code, stdout, stderr } = await result;
    expect(code).toBe(exit);
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'INTERRUPTED', details: { signal } });
    expect(stderr).toBe('');
    expect(readdirSync(folder)).toEqual([NAME]);
    expect(readFileSync(out, 'utf8')).toBe('old');
    await until(() => modelProcessesOf(pid).length === 0);
  });

  it('by kill -9 at any point leaves the old or the new file, whole, with its own report, and no process', async () => {
    expect((await killAtPoints(4)).old).toBeGreaterThan(0); // many more in the slow form
  });

  it.runIf(process.platform === 'linux').each(['SIGKILL', 'SIGINT'] as const)(
    'by %s ends the process of a model that is in the middle of an endless run',
    async (signal) => {
      const child = run('verify', goldenModel('runtime', 'endless-loop'));
      const ended = collect(child);
      await until(() => modelProcessesOf(child.pid!).some((pid) => cpuSeconds(pid) > 0.5));
      child.kill(signal);
      await ended;
      await until(() => modelProcessesOf(child.pid!).length === 0, 2000);
    },
  );

  it('by a second export to the same file goes on: the second is refused with the process that writes', async () => {
    const first = run(...bare(out), '--mode', 'pair');
    await until(isWriting);
    const firstResult = collect(first);
    first.kill('SIGSTOP'); // however long the second takes to start
    const second = await hpsv3Process(argsOf(out, '--json'));
    first.kill('SIGCONT');
    expect(second.code).toBe(2);
    expect(errorOf(second)).toMatchObject({ code: 'OUTPUT_BUSY', details: { file: NAME, pid: first.pid } });
    expect((await firstResult).code).toBe(0);
    expect(readdirSync(folder).sort()).toEqual([NAME, REPORT]);
  });

  it('does not stand in the way of the next one', async () => {
    const child = start();
    await until(isWriting);
    child.kill('SIGKILL');
    await collect(child);
    expect(staging().length).toBe(1);
    const report = await exportFile(out, { modality: 'text' });
    expect(readdirSync(folder).sort()).toEqual([NAME, REPORT]);
    expect(statSync(out).size).toBe(report.bytes);
  });
});

describe.runIf(posix)('a disk that is full', () => {
  const exporting = '"$1" "$2" export --checkpoint "$3" --out "$4" --modality text --gate off --force --json';

  it.each([
    ['at once', 0, ''],
    ['in the middle of the model', 40, ''],
    ['in the middle of the weights apart', 1, '--external-data'],
  ])('%s gives 74 and leaves the target as it was', async (_, kibibytes, flag) => {
    writeFileSync(out, 'old');
    const result = await shell(`ulimit -f ${kibibytes}; ${exporting} ${flag}`, PICO.checkpoint, out);
    expect(result.code).toBe(74);
    expect(errorOf(result)).toMatchObject({ code: 'OUTPUT_WRITE_FAILED', details: { cause: 'EFBIG' } });
    expect(readdirSync(folder)).toEqual([NAME]);
    expect(readFileSync(out, 'utf8')).toBe('old');
  });

  it('in the middle of a new checkpoint gives 74 and leaves nothing', async () => {
    const script = 'ulimit -f 100; "$1" "$2" init --config "$3" --out "$4" --json';
    const result = await shell(script, `${PROJECT}configs/hpsv3_nano.yaml`, join(folder, 'nano.pt'));
    expect(result.code).toBe(74);
    expect(errorOf(result)).toMatchObject({ code: 'OUTPUT_WRITE_FAILED', details: { cause: 'EFBIG' } });
    expect(readdirSync(folder)).toEqual([]);
  });

  it.runIf(existsSync('/dev/full'))('for the report on standard output gives 74 too', async () => {
    const { code, stderr } = await shell(`${exporting} > /dev/full`, PICO.checkpoint, out);
    expect(code).toBe(74);
    expect(stderr).toMatch(/standard output could not be written \(ENOSPC\)/);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  const mounts = (): boolean =>
    isRoot && spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', '/mnt']).status === 0;

  it.runIf(mounts()).each([
    { size: '64k', why: 'the new one', details: { bytes: expect.any(Number), freeBytes: 60 * 1024 } },
    { size: '72k', why: 'the report beside the new one', details: { cause: 'ENOSPC' } },
  ])('of a real file system of $size has no room for $why: 74, and the old file stays', async ({ size, details }) => {
    // The mount is gone with its namespace.
    const script = `mount -t tmpfs -o size=${size} tmpfs "$4" && echo old > "$4/${NAME}"
      ${exporting.replace('"$4"', `"$4/${NAME}"`)}; code=$?; ls -A "$4" >&2; cat "$4/${NAME}" >&2; exit $code`;
    const child = spawn('unshare', [
      '-m',
      'bash',
      '-c',
      script,
      'bash',
      process.execPath,
      HPSV3,
      PICO.checkpoint,
      folder,
    ]);
    const result = await collect(child);
    expect(result.code).toBe(74);
    expect(errorOf(result)).toMatchObject({ code: 'OUTPUT_WRITE_FAILED', details });
    expect(result.stderr).toBe(`${NAME}\nold\n`);
  });
});

describe.runIf(posix)('a reader that leaves', () => {
  it.each(['inspect "$3"', 'inspect "$3" --json', 'export --checkpoint "$3" --out "$4" --gate off --json'])(
    'ends `%s | head -1` without a word',
    async (command) => {
      const { code, stdout, stderr } = await shell(
        `set -o pipefail; "$1" "$2" ${command} | head -1 | wc -l`,
        PICO.checkpoint,
        out,
      );
      expect({ code, stdout: stdout.trim() }).toEqual({ code: 0, stdout: '1' });
      expect(stderr).not.toMatch(/EPIPE|^\s+at /m);
    },
  );
});

describe('an output path', () => {
  const text = { modality: 'text' } as const;

  it.each([
    ['spaces and an emoji', 'a model 🙂.onnx'],
    ['a newline', 'two\nlines.onnx'],
    ['quotes and a dollar sign', `it's "$HOME".onnx`],
    ['a leading dash', '-force.onnx'],
  ])('may have %s in its name', async (_, name) => {
    const report = await exportFile(join(folder, name), { ...text, gate: 'quick' });
    expect(report.gate?.passed).toBe(true);
    expect(readdirSync(folder).sort()).toEqual([name, `${name}.report.json`].sort());
  });

  it('may be as long as the file system and the report beside it allow', async () => {
    const longest = `${'x'.repeat(255 - '.onnx.report.json'.length)}.onnx`;
    await exportFile(join(folder, longest), text);
    expect(readdirSync(folder).length).toBe(2);
    for (const name of [`x${longest}`, `${'é'.repeat(126)}.onnx`]) {
      await expect(exportFile(join(folder, name), text)).rejects.toMatchObject({ code: 'OUTPUT_INVALID' });
    }
    expect(readdirSync(folder).length).toBe(2);
  });

  const INVALID: readonly (readonly [string, () => string, RegExp])[] = [
    ['in a folder that does not exist', () => join(folder, 'none', NAME), /folder does not exist/],
    ['below a file', () => join(folder, 'file', NAME), /folder is a file/],
    ['that is a folder', () => folder, /is a folder/],
    ['that is a link', () => join(folder, 'link.onnx'), /symbolic link/],
    ['that is the checkpoint', () => join(folder, 'checkpoint.safetensors'), /also an input/],
    ['that is a hard link of the checkpoint', () => join(folder, 'hard.onnx'), /also an input/],
    ['that is a device', () => '/dev/null', /not a regular file/],
    ['whose name is not UTF-8', () => join(folder, Buffer.from('a\xff.onnx', 'latin1').toString()), /not UTF-8/],
  ];

  it.each(INVALID)('%s is refused, forced or not', async (_, pathOf, message) => {
    const checkpoint = join(folder, 'checkpoint.safetensors');
    copyFileSync(PICO.checkpoint, checkpoint);
    copyFileSync(PICO.config, join(folder, 'config.json'));
    writeFileSync(join(folder, 'file'), 'kept');
    symlinkSync('file', join(folder, 'link.onnx'));
    linkSync(checkpoint, join(folder, 'hard.onnx'));
    const before = readdirSync(folder);
    for (const force of [false, true]) {
      await expect(exportFile(pathOf(), { ...text, checkpoint, force })).rejects.toMatchObject({
        code: 'OUTPUT_INVALID',
        exitCode: 2,
        message: expect.stringMatching(message),
      });
    }
    expect(readdirSync(folder)).toEqual(before);
    expect(readFileSync(checkpoint).equals(readFileSync(PICO.checkpoint))).toBe(true);
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('kept');
  });

  // Root may write anywhere: there the program runs as nobody, where nobody can read it.
  const nobody = isRoot ? { uid: 65_534, gid: 65_534 } : {};
  const canRun = posix && spawnSync(process.execPath, [HPSV3, '--help'], nobody).status === 0;

  it.runIf(canRun)('in a folder that cannot be written is refused', async () => {
    if (isRoot) chownSync(folder, nobody.uid!, nobody.gid!);
    const checkpoint = join(folder, 'checkpoint.safetensors');
    copyFileSync(PICO.checkpoint, checkpoint);
    copyFileSync(PICO.config, join(folder, 'config.json'));
    chmodSync(folder, 0o555);
    const args = ['export', '--checkpoint', checkpoint, '--out', out, '--modality', 'text', '--json'];
    const result = await collect(spawn(process.execPath, [HPSV3, ...args], { ...nobody, cwd: '/' }));
    chmodSync(folder, 0o755);
    expect(result.code).toBe(2);
    expect(errorOf(result)).toMatchObject({ code: 'OUTPUT_INVALID', message: `${NAME}: permission denied` });
    expect(readdirSync(folder).sort()).toEqual(['checkpoint.safetensors', 'config.json']);
  });
});

describe.runIf(posix)('unusual surroundings', () => {
  let expected: string | null;
  beforeAll(async () => {
    expected = (await exportFile(join(tempFolder(), NAME), { modality: 'text' })).sha256;
  });

  it.each([
    ['an odd time zone, plain C text and no home', { TZ: 'Mars/Phobos', LANG: 'C', LC_ALL: 'C', HOME: undefined }],
    ['a home that cannot be written and no PATH', { HOME: '/proc', PATH: undefined, XDG_CACHE_HOME: '/proc/none' }],
    [
      'a Turkish locale and a time zone with seconds',
      { LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8', TZ: 'XXX-05:30:07' },
    ],
  ])('change nothing: %s', async (_, env) => {
    const path = join(folder, 'ünïcode 🙂.onnx');
    const { code, stdout } = await hpsv3Process(argsOf(path, '--json', '--gate', 'quick'), { env });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ out: 'ünïcode 🙂.onnx', sha256: expected, gate: { passed: true } });
  });

  it('include a working folder that was deleted: refused, or of no matter', async () => {
    const gone = (...args: string[]) =>
      collect(spawn('bash', ['-c', DELETED_FOLDER, 'bash', process.execPath, HPSV3, ...args, '--json']));
    await exportFile(out, { modality: 'text' });
    for (const args of [['inspect', out], ['verify', out, '--quick'], argsOf(out, '--force')]) {
      expect((await gone(...args)).code, args[0]).toBe(0);
    }
    for (const [args, expected] of [
      [argsOf('relative.onnx'), 'OUTPUT_INVALID'],
      [['inspect', 'relative.pt'], 'FILE_NOT_FOUND'],
    ] as const) {
      const result = await gone(...args);
      expect(result.code).toBe(2);
      expect(errorOf(result).code).toBe(expected);
    }
    expect(readdirSync(folder).sort()).toEqual([NAME, REPORT]);
  });

  it('include a deleted working folder for large files, which are hashed in a thread: refused', async () => {
    const large = join(folder, 'large.bin');
    writeFileSync(large, new Uint8Array(17 * 2 ** 20));
    const hash =
      'import(process.argv[1]).then((m) => m.hashFile(process.argv[2])).catch(({code}) => console.log(code))';
    const module = join(PROJECT, 'dist', 'core', 'bytes', 'hash.js');
    const args = ['-c', DELETED_FOLDER, 'bash', process.execPath, '-e', hash, module, large];
    const { stdout } = await collect(spawn('bash', args));
    expect(stdout).toBe('USAGE\n');
  });

  it('do not include the program’s own folder: relative paths start from the working folder', async () => {
    mkdirSync(join(folder, 'in'));
    const args = argsOf(join('in', NAME), '--gate', 'off', '--json');
    const { code, stdout } = await hpsv3Process(args, { cwd: folder });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).sha256).toBe(expected);
    expect(readdirSync(join(folder, 'in')).sort()).toEqual([NAME, REPORT]);
  });
});
