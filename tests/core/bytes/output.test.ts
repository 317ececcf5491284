import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FILE_SYSTEM, type OutputFileSystem, type OutputHandle } from '../../../src/core/bytes/file-system.js';
import { type OutputOptions, StagedOutput, withAtomicOutput } from '../../../src/core/bytes/output.js';
import { cleanTemporaryFiles, stagingName } from '../../../src/core/bytes/staging.js';
import { HpsError } from '../../../src/core/errors.js';
import { LIMITS } from '../../../src/core/limits.js';

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'output-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Every call goes through `before`, which may throw. */
function watched(before: (call: string) => void): OutputFileSystem {
  const call = <T>(name: string, run: () => Promise<T>): Promise<T> => {
    before(name);
    return run();
  };
  return {
    mkdir: (path) => call('mkdir', () => FILE_SYSTEM.mkdir(path)),
    rename: (from, to) => call('rename', () => FILE_SYSTEM.rename(from, to)),
    open: async (path, flags) => {
      const folder = flags === 'r' ? ' folder' : '';
      const file = await call(`open${folder}`, () => FILE_SYSTEM.open(path, flags));
      const handle: OutputHandle = {
        write: (...args) => call('write', () => file.write(...args)),
        read: (...args) => file.read(...args),
        sync: () => call(`sync${folder}`, () => file.sync()),
        close: () => file.close().then(() => before(`close${folder}`)), // a failed close gives the handle up as well
      };
      return handle;
    },
  };
}

const systemError = (code: string) => Object.assign(new Error(code), { code });

/** Two files, one larger than the buffers of a sink. */
const large = new Uint8Array(3 * LIMITS.chunkBytes + 5).map((_, i) => i % 251);
const writeTwo = (path: string, options: OutputOptions, content: Uint8Array = large) =>
  withAtomicOutput(path, options, async (output) => {
    const data = await output.create(`${output.name}.data`);
    for (let at = 0; at < content.length; at += 1_000_000) await data.write(content.subarray(at, at + 1_000_000));
    await data.finish();
    return output.writeFile(output.name, 'main');
  });

const contents = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder)
      .sort()
      .map((name) => [
        name,
        createHash('md5')
          .update(readFileSync(join(folder, name)))
          .digest('hex'),
      ]),
  );

describe('an output that succeeds', () => {
  it('is there whole, with nothing beside it, and says its hash', async () => {
    const folder = temporaryFolder();
    const written = await writeTwo(join(folder, 'm.onnx'), {});
    expect(readdirSync(folder).sort()).toEqual(['m.onnx', 'm.onnx.data']);
    expect(written).toEqual({
      name: 'm.onnx',
      byteLength: 4,
      sha256: createHash('sha256').update('main').digest('hex'),
    });
    expect(Buffer.from(large).equals(readFileSync(join(folder, 'm.onnx.data')))).toBe(true);
  });

  it('can be looked at under its final name before it is committed, and be discarded', async () => {
    const folder = temporaryFolder();
    const output = await StagedOutput.open(join(folder, 'm.onnx'));
    await output.writeFile('m.onnx', 'staged');
    expect(output.path().endsWith('/m.onnx')).toBe(true);
    expect(readFileSync(output.path(), 'utf8')).toBe('staged');
    expect(existsSync(join(folder, 'm.onnx'))).toBe(false);
    await output.discard();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('takes copies: a buffer may be reused between writes', async () => {
    const folder = temporaryFolder();
    const buffer = new Uint8Array(LIMITS.chunkBytes);
    const written = await withAtomicOutput(join(folder, 'f'), {}, async (output) => {
      const sink = await output.create();
      for (let i = 0; i < 5; i++) await sink.write(buffer.fill(i));
      return sink.finish();
    });
    const expected = Buffer.concat([0, 1, 2, 3, 4].map((i) => Buffer.alloc(LIMITS.chunkBytes, i)));
    expect(written.sha256).toBe(createHash('sha256').update(expected).digest('hex'));
    expect(readFileSync(join(folder, 'f')).equals(expected)).toBe(true);
  });

  it('has the hash of its bytes where it is long, too', async () => {
    const folder = temporaryFolder();
    const piece = new Uint8Array(3 * LIMITS.chunkBytes - 7).map((_, i) => i % 251);
    const expected = createHash('sha256');
    const written = await withAtomicOutput(join(folder, 'f'), {}, async (output) => {
      const sink = await output.create();
      for (let i = 0; i < 6; i++) {
        piece[0] = i;
        expected.update(piece);
        await sink.write(piece);
      }
      return sink.finish();
    });
    expect(written).toEqual({ name: 'f', byteLength: 6 * piece.byteLength, sha256: expected.digest('hex') });
  });

  it('has the hash of its bytes where they come at places of their own, however long it was said to become', async () => {
    const written = await withAtomicOutput(join(temporaryFolder(), 'f'), {}, async (output) => {
      const sink = await output.create(output.name, 100 * LIMITS.chunkBytes);
      await sink.writeAt(4, Buffer.from('last'));
      await sink.writeAt(0, Buffer.from('main'));
      return sink.finish();
    });
    expect(written).toEqual({
      name: 'f',
      byteLength: 8,
      sha256: createHash('sha256').update('mainlast').digest('hex'),
    });
  });

  it('is written, synced, closed and renamed in that order, the main file last, the folder synced at the end', async () => {
    const calls: string[] = [];
    await writeTwo(
      join(temporaryFolder(), 'm'),
      { fileSystem: watched((call) => calls.push(call)) },
      new Uint8Array(9),
    );
    expect(calls).toEqual([
      'mkdir',
      ...['open', 'write', 'sync', 'close'],
      ...['open', 'write', 'sync', 'close'],
      ...['rename', 'rename'],
      ...['open folder', 'sync folder', 'close folder'],
    ]);
  });

  it('goes on after a short write', async () => {
    const folder = temporaryFolder();
    const fileSystem: OutputFileSystem = {
      ...FILE_SYSTEM,
      open: async (path, flags) => {
        const file = await FILE_SYSTEM.open(path, flags);
        return {
          write: (buffer, offset, length) => file.write(buffer, offset, Math.min(length, 1000)),
          read: (...args) => file.read(...args),
          sync: () => file.sync(),
          close: () => file.close(),
        };
      },
    };
    await withAtomicOutput(join(folder, 'f'), { fileSystem }, (output) =>
      output.writeFile('f', large.subarray(0, 12_345)),
    );
    expect(Buffer.from(large.subarray(0, 12_345)).equals(readFileSync(join(folder, 'f')))).toBe(true);
  });

  it('may have a name of 255 bytes, with a newline, spaces and an emoji', async () => {
    const folder = temporaryFolder();
    const name = 'a b\n🙂'.padEnd(252, 'x');
    expect(Buffer.byteLength(name)).toBe(254);
    await withAtomicOutput(join(folder, `${name}y`), {}, (output) => output.writeFile(output.name, ''));
    expect(readdirSync(folder)).toEqual([`${name}y`]);
  });

  it('refuses to be committed before it is finished', async () => {
    const folder = temporaryFolder();
    await expect(withAtomicOutput(join(folder, 'f'), {}, (output) => output.create())).rejects.toThrow(RangeError);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('an output that fails', () => {
  it.each(['ENOSPC', 'EIO', 'EFBIG', 'EDQUOT'])('leaves everything as it was when any call gives %s', async (code) => {
    const folder = temporaryFolder();
    const path = join(folder, 'm');
    writeFileSync(path, 'old');
    writeFileSync(`${path}.data`, 'old data');
    const before = contents(folder);
    let failing = 0;
    for (let n = 1; ; n++) {
      let count = 0;
      let failed = '';
      const fileSystem = watched((call) => {
        if (++count !== n) return;
        failed = call;
        throw systemError(code);
      });
      const error = await writeTwo(path, { force: true, fileSystem }).then(
        () => undefined,
        (cause) => cause,
      );
      if (failed === '') break;
      failing++;
      expect(error).toBeInstanceOf(HpsError);
      expect(error, failed).toMatchObject({ code: 'OUTPUT_WRITE_FAILED', exitCode: 74 });
      // Once the last file is renamed the new ones are in place: only making that last can fail then.
      if (!failed.endsWith('folder')) expect(contents(folder), `call ${n}: ${failed}`).toEqual(before);
      else expect(Object.keys(contents(folder))).toEqual(Object.keys(before));
      writeFileSync(path, 'old');
      writeFileSync(`${path}.data`, 'old data');
    }
    expect(failing).toBeGreaterThan(12);
  });

  it('leaves nothing where nothing was', async () => {
    const folder = temporaryFolder();
    for (let n = 1; n < 12; n++) {
      let count = 0;
      const fileSystem = watched(() => {
        if (++count === n) throw systemError('ENOSPC');
      });
      await expect(writeTwo(join(folder, 'm'), { fileSystem })).rejects.toMatchObject({ code: 'OUTPUT_WRITE_FAILED' });
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  it('passes on the error of what makes the content', async () => {
    const folder = temporaryFolder();
    const bug = new TypeError('a bug');
    await expect(withAtomicOutput(join(folder, 'f'), {}, () => Promise.reject(bug))).rejects.toBe(bug);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('paths that cannot be written', () => {
  const refusal = (path: string, options: OutputOptions = {}) =>
    withAtomicOutput(path, options, (output) => output.writeFile(output.name, 'new'));

  it('refuses a file that is there, unless forced', async () => {
    const path = join(temporaryFolder(), 'f');
    writeFileSync(path, 'old');
    await expect(refusal(path)).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    expect(readFileSync(path, 'utf8')).toBe('old');
    await refusal(path, { force: true });
    expect(readFileSync(path, 'utf8')).toBe('new');
  });

  it('refuses a second file that is there, and keeps the first as it was', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'm.data'), 'someone else');
    await expect(writeTwo(join(folder, 'm'), {})).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    expect(readdirSync(folder)).toEqual(['m.data']);
  });

  const INVALID: readonly (readonly [string, (folder: string) => string])[] = [
    ['a folder', (folder) => folder],
    ['a name that ends in a slash', (folder) => `${folder}/new/`],
    ['no name', () => ''],
    ['two dots', (folder) => `${folder}/..`],
    ['a NUL', (folder) => `${folder}/a\0b`],
    ['a folder that does not exist', (folder) => join(folder, 'none/f')],
    ['a file as its folder', (folder) => join(folder, 'file/f')],
    ['a link', (folder) => join(folder, 'link')],
    ['a link to nothing', (folder) => join(folder, 'dangling')],
    ['a device', () => '/dev/full'],
    ['256 bytes of name', (folder) => join(folder, 'é'.repeat(128))],
  ];

  it.each(INVALID)('refuses %s, forced or not', async (_, pathIn) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), 'kept');
    symlinkSync('file', join(folder, 'link'));
    symlinkSync('nothing', join(folder, 'dangling'));
    for (const force of [false, true]) {
      await expect(refusal(pathIn(folder), { force })).rejects.toMatchObject({ code: 'OUTPUT_INVALID' });
    }
    expect(readdirSync(folder).sort()).toEqual(['dangling', 'file', 'link']);
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('kept');
  });

  it.each(['EACCES', 'EPERM', 'EROFS'])('refuses a folder that gives %s', async (code) => {
    const fileSystem = watched(() => {
      throw systemError(code);
    });
    const path = join(temporaryFolder(), 'a\nb');
    await expect(refusal(path, { fileSystem })).rejects.toMatchObject({
      code: 'OUTPUT_INVALID',
      message: expect.stringMatching(/^a\\nb: [^\n]+$/),
    });
  });

  it('refuses an input, under any of its names', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'f');
    writeFileSync(path, 'old');
    symlinkSync('f', join(folder, 'link'));
    linkSync(path, join(folder, 'hard'));
    for (const input of ['f', './f', 'link', 'hard']) {
      await expect(
        refusal(path, { force: true, inputs: [join(folder, 'gone'), join(folder, input)] }),
      ).rejects.toMatchObject({
        code: 'OUTPUT_INVALID',
        message: 'f: is also an input',
      });
    }
    expect(readFileSync(path, 'utf8')).toBe('old');
  });
});

describe('several processes', () => {
  it('lets one process begin many files of a folder at once', async () => {
    const folder = temporaryFolder();
    const names = Array.from({ length: 20 }, (_, i) => `f${i}`);
    await Promise.all(
      names.map((name) => withAtomicOutput(join(folder, name), {}, (output) => output.writeFile(name, name))),
    );
    expect(readdirSync(folder).sort()).toEqual(names.sort());
  });

  it('knows its own outputs however their folder is spelled', async () => {
    const folder = temporaryFolder();
    const spelled = join(temporaryFolder(), 'link');
    symlinkSync(folder, spelled);
    await withAtomicOutput(join(folder, 'f'), {}, async (output) => {
      await output.writeFile('f', 'f');
      await withAtomicOutput(join(spelled, 'g'), {}, (other) => other.writeFile('g', 'g'));
    });
    expect(readdirSync(folder).sort()).toEqual(['f', 'g']);
  });

  it('refuses a second writer of the same file, not of another', async () => {
    const folder = temporaryFolder();
    const first = await StagedOutput.open(join(folder, 'f'));
    await expect(StagedOutput.open(join(folder, 'f'))).rejects.toMatchObject({
      code: 'OUTPUT_BUSY',
      details: { pid: process.pid },
    });
    await (await StagedOutput.open(join(folder, 'g'))).discard();
    await first.discard();
    await (await StagedOutput.open(join(folder, 'f'))).discard();
    expect(readdirSync(folder)).toEqual([]);
  });

  /** A name as another process of this machine would choose it. */
  const stagingOf = (pid: number, target: string) => stagingName(target).replace(/^\.tmp-\d+/, `.tmp-${pid}`);

  it('is told the process that writes', async () => {
    const folder = temporaryFolder();
    const other = spawn('sleep', ['60']);
    onTestFinished(() => void other.kill());
    await once(other, 'spawn');
    mkdirSync(join(folder, stagingOf(other.pid!, 'f')));
    await expect(StagedOutput.open(join(folder, 'f'))).rejects.toMatchObject({
      code: 'OUTPUT_BUSY',
      details: { pid: other.pid },
    });
    other.kill('SIGKILL');
    await once(other, 'exit');
    await (await StagedOutput.open(join(folder, 'f'))).discard();
    expect(readdirSync(folder)).toEqual([]);
  });

  const deadPid = () => spawnSync('true').pid;

  it('removes what dead processes left, and nothing else', async () => {
    const folder = temporaryFolder();
    const stale = join(folder, stagingOf(deadPid(), 'other'));
    const elsewhere = stagingOf(deadPid(), 'f').replace(/^(\.tmp-\d+-).{8}/, `$1${'0'.repeat(8)}`);
    for (const name of [stale, join(folder, elsewhere), join(folder, '.tmp-mine')]) mkdirSync(name);
    writeFileSync(join(stale, 'other'), 'half');
    await (await StagedOutput.open(join(folder, 'f'))).discard();
    expect(readdirSync(folder).sort()).toEqual([elsewhere, '.tmp-mine'].sort());
  });

  it('puts back what a process that was killed in the middle of a commit had set aside', async () => {
    const folder = temporaryFolder();
    const stale = join(folder, stagingOf(deadPid(), 'm'));
    mkdirSync(join(stale, '.replaced'), { recursive: true });
    writeFileSync(join(stale, '.replaced', 'm'), 'old');
    writeFileSync(join(stale, '.replaced', 'm.data'), 'old data');
    writeFileSync(join(folder, 'm.data'), 'new data');
    writeFileSync(join(stale, 'm'), 'new');
    await expect(StagedOutput.open(join(folder, 'm'))).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    await (await StagedOutput.open(join(folder, 'f'))).discard();
    expect(readFileSync(join(folder, 'm'), 'utf8')).toBe('old');
    expect(readFileSync(join(folder, 'm.data'), 'utf8')).toBe('old data');
    expect(readdirSync(folder).sort()).toEqual(['m', 'm.data']);
  });

  it('lets a commit stand whose files were all in place', async () => {
    const folder = temporaryFolder();
    const stale = join(folder, stagingOf(deadPid(), 'm'));
    mkdirSync(join(stale, '.replaced'), { recursive: true });
    writeFileSync(join(stale, '.replaced', 'm'), 'old');
    writeFileSync(join(folder, 'm'), 'new');
    await (await StagedOutput.open(join(folder, 'f'))).discard();
    expect(readFileSync(join(folder, 'm'), 'utf8')).toBe('new');
    expect(readdirSync(folder)).toEqual(['m']);
  });

  it('leaves nothing behind when a signal handler cleans up', async () => {
    const folder = temporaryFolder();
    const output = await StagedOutput.open(join(folder, 'f'));
    await output.writeFile('f', 'half');
    cleanTemporaryFiles();
    expect(readdirSync(folder)).toEqual([]);
    await expect(output.commit()).rejects.toBeInstanceOf(HpsError);
  });
});
