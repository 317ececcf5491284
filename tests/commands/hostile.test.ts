import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32, deflateRawSync } from 'node:zlib';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/core/errors.js';
import { inspectFile } from '../../src/core/lifecycle/inspect/inspect.js';
import { verifyModels } from '../../src/core/lifecycle/verify/verify.js';
import { hpsv3, PROJECT } from '../helpers/cli.js';
import { goldenModel } from '../helpers/models.js';
import { dict, op, pickle, storage, tensor, torchLegacyFile, torchZipFile } from '../helpers/pickles.js';
import { PICO } from '../helpers/pico.js';
import { modelProcessesOf, until } from '../helpers/processes.js';
import { tempFolder } from '../helpers/temp.js';

const golden = (name: string): Buffer => readFileSync(fileURLToPath(new URL(`../golden/${name}`, import.meta.url)));

let folder: string;
beforeEach(() => {
  folder = tempFolder();
});

function put(name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** Runs a command that must fail; nothing may be written, and no path of this machine shown. */
async function failure(
  args: readonly string[],
): Promise<{ exit: number | null; code: ErrorCode; message: string; hint: string }> {
  const before = readdirSync(folder);
  const { code: exit, stdout } = await hpsv3([...args, '--json']);
  expect(readdirSync(folder)).toEqual(before);
  expect(stdout).not.toContain(folder);
  expect(stdout).not.toContain(PROJECT);
  const { code, message, hint } = JSON.parse(stdout).error;
  return { exit, code, message, hint };
}

const exporting = (checkpoint: string) =>
  failure(['export', '--checkpoint', checkpoint, '--out', join(folder, 'x.onnx')]);

describe('a checkpoint that would run code', () => {
  /** os.system('touch CANARY'), as pickle.dumps of an object with __reduce__ writes it. */
  const attack = (canary: string, module = 'posix', name = 'system') =>
    Buffer.concat([op.global(module, name), op.text(`touch '${canary}'`), op.tuple1, op.reduce]);

  const FORMS: readonly (readonly [string, (payload: Buffer) => Promise<Buffer> | Buffer])[] = [
    ['torch zip', (payload) => torchZipFile(pickle(payload))],
    ['torch zip, beside tensors', (payload) => torchZipFile(pickle(dict({ weight: tensor(), bias: payload })))],
    ['legacy torch file', (payload) => torchLegacyFile(payload, [])],
    ['legacy torch file, in the last pickle', (payload) => legacyWithKeys(payload)],
    ['bare pickle', (payload) => pickle(payload)],
  ];

  it.each(FORMS)('is refused as a %s, and runs nothing', async (_, form) => {
    const canary = join(folder, 'canary');
    const path = put('attack.pt', await form(attack(canary)));
    for (const command of [() => failure(['inspect', path]), () => exporting(path)]) {
      const refused = await command();
      expect(refused).toMatchObject({ exit: 5, code: 'CHECKPOINT_UNSAFE' });
      expect(refused.message).toMatch(/attack\.pt.*posix\.system/);
    }
    expect(existsSync(canary)).toBe(false);
  });

  it.each([
    ['os', 'system'],
    ['subprocess', 'Popen'],
    ['builtins', 'eval'],
    ['__builtin__', 'getattr'],
    ['torch.hub', 'load'],
    ['torch', 'load'],
    ['numpy', 'load'],
  ])('is refused whatever it calls: %s.%s', async (module, name) => {
    const canary = join(folder, 'canary');
    const path = put('attack.pt', await torchZipFile(pickle(attack(canary, module, name))));
    await expect(inspectFile({ path, statistics: false })).rejects.toMatchObject({
      code: 'CHECKPOINT_UNSAFE',
      message: expect.stringContaining(`${module}.${name}`),
    });
    expect(existsSync(canary)).toBe(false);
  });

  it.each(['module.pt', 'module-legacy.pth'])('is refused as a whole pickled module, with advice: %s', async (name) => {
    const refused = await exporting(put(name, golden(`torch/${name}`)));
    expect(refused).toMatchObject({ exit: 5, code: 'CHECKPOINT_UNSAFE' });
    expect(refused.hint).toMatch(/state_dict/);
  });

  /** A good legacy file whose list of storage keys is the payload. */
  function legacyWithKeys(payload: Buffer): Buffer {
    const file = torchLegacyFile(dict({}), []);
    const keys = pickle(op.emptyList);
    return Buffer.concat([file.subarray(0, file.byteLength - keys.byteLength), pickle(payload)]);
  }
});

/** A safetensors file with this header, whatever length it states. */
function safetensorsFile(header: string, length = BigInt(Buffer.byteLength(header)), data = 0): Buffer {
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length);
  return Buffer.concat([prefix, Buffer.from(header), Buffer.alloc(data)]);
}

/** A torch zip whose data.pkl is deflated: 50 MB of zeros in 50 kB. */
function zipBomb(): Buffer {
  const content = Buffer.alloc(50e6);
  const data = deflateRawSync(content);
  const name = Buffer.from('a/data.pkl');
  const common = Buffer.alloc(26);
  common.writeUInt16LE(20, 0);
  common.writeUInt16LE(8, 4);
  common.writeUInt32LE(crc32(content), 10);
  common.writeUInt32LE(data.byteLength, 14);
  common.writeUInt32LE(content.byteLength, 18);
  common.writeUInt16LE(name.byteLength, 22);
  const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, name, data]);
  const central = Buffer.concat([Buffer.from('PK\x01\x02\x14\0'), common, Buffer.alloc(14), name]);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(1, 4);
  end.writeUInt16LE(1, 6);
  end.writeUInt32LE(central.byteLength, 8);
  end.writeUInt32LE(local.byteLength, 12);
  return Buffer.concat([local, central, Buffer.from('PK\x05\x06'), end]);
}

const good = (): Buffer => golden('torch/views.pt');
const U8 = '{"dtype":"U8","shape":[4],"data_offsets":[0,4]}';

describe('hpsv3 export and inspect of a file that is broken or something else', () => {
  const TABLE: readonly (readonly [string, () => Uint8Array | string | Promise<Buffer>, number, ErrorCode])[] = [
    [
      '10: a tensor beyond its storage',
      () => torchZipFile(pickle(dict({ w: tensor({ offset: op.int(99) }) }))),
      5,
      'CHECKPOINT_CORRUPT',
    ],
    [
      '9: a storage beyond its record',
      () => torchZipFile(pickle(dict({ w: tensor({ storage: storage({ numel: op.int(1e9) }) }) }))),
      5,
      'CHECKPOINT_CORRUPT',
    ],
    ['16: a pickle without an end', () => torchZipFile(pickle(op.emptyDict).subarray(0, 3)), 5, 'CHECKPOINT_CORRUPT'],
    ['18: a TorchScript archive', () => golden('torch/script.pt'), 5, 'CHECKPOINT_UNSAFE'],
    ['21: a zip cut in half', () => good().subarray(0, good().byteLength / 2), 5, 'CHECKPOINT_CORRUPT'],
    ['26: a zip bomb', zipBomb, 5, 'CHECKPOINT_UNSAFE'],
    [
      '30: a zip behind other bytes',
      () => Buffer.concat([Buffer.from('PK\x03\x04 not yet'), good()]),
      5,
      'CHECKPOINT_CORRUPT',
    ],
    ['30: a zip before other bytes', () => Buffer.concat([good(), Buffer.from('more')]), 5, 'CHECKPOINT_CORRUPT'],
    ['34: a safetensors header of 2^63 bytes', () => safetensorsFile('{}', 2n ** 63n), 5, 'CHECKPOINT_CORRUPT'],
    ['36: a tensor named twice', () => safetensorsFile(`{"w":${U8},"w":${U8}}`, undefined, 4), 5, 'CHECKPOINT_CORRUPT'],
    ['37: tensors that overlap', () => safetensorsFile(`{"a":${U8},"b":${U8}}`, undefined, 4), 5, 'CHECKPOINT_CORRUPT'],
    ['37: safetensors cut short', () => readFileSync(PICO.checkpoint).subarray(0, 80_000), 5, 'CHECKPOINT_CORRUPT'],
    ['42: pickled objects in an .npz', () => golden('npz/object.npz'), 5, 'CHECKPOINT_UNSAFE'],
    ['43: a shard outside the folder', () => '{"weight_map":{"w":"../../other.safetensors"}}', 5, 'CHECKPOINT_UNSAFE'],
    ['an empty file', () => '', 2, 'CHECKPOINT_UNRECOGNISED'],
    ['a web page', () => '<!DOCTYPE html><html>Not found</html>', 2, 'CHECKPOINT_UNRECOGNISED'],
    [
      'a git-lfs pointer',
      () => 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n',
      2,
      'CHECKPOINT_UNRECOGNISED',
    ],
    [
      'random bytes',
      () => Buffer.from(Array.from({ length: 999 }, (_, i) => (i * 7919) % 251)),
      2,
      'CHECKPOINT_UNRECOGNISED',
    ],
  ];

  it.each(TABLE)('%s gives the right code', async (_, make, exit, code) => {
    const path = put('x.bin', await make());
    expect(await exporting(path)).toMatchObject({ exit, code });
    await expect(inspectFile({ path, statistics: false })).rejects.toMatchObject({ code });
  });

  it.each<readonly [string, () => string, ErrorCode]>([
    ['nothing', () => join(folder, 'none.pt'), 'FILE_NOT_FOUND'],
    ['a folder without a model', () => folder, 'CHECKPOINT_UNRECOGNISED'],
    ['a device', () => '/dev/zero', 'FILE_UNREADABLE'],
    ['an ONNX model', () => goldenModel('runtime', 'mlp'), 'CHECKPOINT_UNRECOGNISED'],
    [
      'a checkpoint of no known architecture',
      () => fileURLToPath(new URL('../golden/safetensors/every.safetensors', import.meta.url)),
      'ARCHITECTURE_UNKNOWN',
    ],
  ])('export of %s exits 2', async (_, pathOf, code) => {
    expect(await exporting(pathOf())).toMatchObject({ exit: 2, code });
  });
});

describe('hpsv3 verify of a model that is broken or attacks', () => {
  /** A protobuf field of bytes, shorter than 128 where nothing else is said. */
  const field = (id: number, content: Uint8Array | string): Buffer => {
    const bytes = Buffer.from(content);
    const length: number[] = [];
    for (let rest = bytes.byteLength; ; rest = Math.floor(rest / 128)) {
      length.push(rest < 128 ? rest : 128 + (rest % 128));
      if (rest < 128) break;
    }
    return Buffer.concat([Buffer.from([id * 8 + 2, ...length]), bytes]);
  };
  const modelOf = (...graph: Buffer[]): Buffer =>
    Buffer.concat([Buffer.from([0x08, 0x08]), field(7, Buffer.concat(graph)), field(8, Buffer.from([0x10, 14]))]);
  /** An initializer float32 [1] whose data lies elsewhere. */
  const external = (location: string, ...more: [string, string][]): Buffer => {
    const entries = [['location', location], ...more].map(([key, value]) =>
      field(13, Buffer.concat([field(1, key), field(2, value)])),
    );
    return field(
      5,
      Buffer.concat([Buffer.from([0x08, 1, 0x10, 1]), field(8, 'w'), ...entries, Buffer.from([0x70, 1])]),
    );
  };
  const nested = (depth: number): Buffer => {
    let graph: Buffer = Buffer.alloc(0);
    for (let i = 0; i < depth; i++)
      graph = field(
        1,
        Buffer.concat([field(4, 'If'), field(5, Buffer.concat([field(1, 'then_branch'), field(6, graph)]))]),
      );
    return graph;
  };

  const TABLE: readonly (readonly [string, () => Buffer, number, ErrorCode])[] = [
    ['44: data above the folder', () => modelOf(external('../x.data')), 5, 'ONNX_UNSAFE'],
    ['44: data at an absolute path', () => modelOf(external('/dev/zero')), 5, 'ONNX_UNSAFE'],
    ['47: data before its file', () => modelOf(external('x.data', ['offset', '-1'])), 5, 'ONNX_CORRUPT'],
    ['49: subgraphs 200 deep', () => modelOf(nested(200)), 5, 'ONNX_CORRUPT'],
    ['51: cut short', () => golden('runtime/truncated.onnx'), 5, 'ONNX_CORRUPT'],
    ['51: a field of 4 GB', () => Buffer.from([0x08, 0x08, 0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]), 5, 'ONNX_CORRUPT'],
    ['55: an operator of its own', () => golden('runtime/custom-operator.onnx'), 2, 'ONNX_UNSUPPORTED'],
    ['55: opset 99', () => golden('runtime/opset-99.onnx'), 2, 'ONNX_UNSUPPORTED'],
    ['56: a cycle', () => golden('runtime/cycle.onnx'), 5, 'ONNX_CORRUPT'],
    ['56: an input from nowhere', () => golden('runtime/undefined-input.onnx'), 5, 'ONNX_CORRUPT'],
    ['56: no graph at all', () => Buffer.from([0x08, 0x08]), 5, 'ONNX_CORRUPT'],
    ['data that are missing', () => golden('runtime/missing-data.onnx'), 2, 'FILE_NOT_FOUND'],
    ['inputs of text', () => golden('runtime/strings.onnx'), 2, 'ONNX_UNSUPPORTED'],
    ['53: more memory than there is', () => golden('runtime/bomb-impossible.onnx'), 5, 'MODEL_OUT_OF_MEMORY'],
  ];

  it.each(TABLE)('%s gives the right code', async (_, make, exit, code) => {
    expect(await failure(['verify', put('x.onnx', make()), '--quick'])).toMatchObject({ exit, code });
  });

  const MiB = 2 ** 20;
  it.each<readonly [string, ErrorCode]>([
    ['bomb-expand', 'MODEL_OUT_OF_MEMORY'],
    ['bomb-constant-of-shape', 'MODEL_OUT_OF_MEMORY'],
    ['bomb-range', 'MODEL_OUT_OF_MEMORY'],
    ['bomb-loop', 'MODEL_OUT_OF_MEMORY'],
    ['endless-loop', 'MODEL_TIMEOUT'],
  ])('53, 54: %s is stopped at its limits, and no process stays', async (name, code) => {
    const limits = { memoryBytes: 400 * MiB, runMs: name === 'endless-loop' ? 1500 : 30_000 };
    const judged = verifyModels({ model: goldenModel('runtime', name), level: 'quick', seed: 0, limits });
    await expect(judged).rejects.toMatchObject({ code, exitCode: 5 });
    await until(() => modelProcessesOf(process.pid).length === 0);
  });

  it('48: writes no external data beside a link that leads elsewhere', async () => {
    mkdirSync(join(folder, 'elsewhere'));
    const target = put('elsewhere/kept', 'kept');
    symlinkSync(target, join(folder, 'x.onnx.data'));
    const args = [
      'export',
      '--checkpoint',
      PICO.checkpoint,
      '--out',
      join(folder, 'x.onnx'),
      '--external-data',
      '--force',
    ];
    expect(await failure([...args, '--gate', 'off'])).toMatchObject({ exit: 2, code: 'OUTPUT_INVALID' });
    expect(readFileSync(target, 'utf8')).toBe('kept');
  });
});
