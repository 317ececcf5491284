import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ByteCursor } from '../../../../src/core/bytes/cursor.js';
import { openCheckpoint } from '../../../../src/core/checkpoint/open.js';
import { TorchVocabulary } from '../../../../src/core/checkpoint/pickle/torch-vocabulary.js';
import { unpickle } from '../../../../src/core/checkpoint/pickle/unpickle.js';
import type { HpsError } from '../../../../src/core/errors.js';
import { LIMITS } from '../../../../src/core/limits.js';
import {
  dict,
  intTuple,
  op,
  pickle,
  storage,
  tensor,
  torchLegacyFile,
  torchZipFile,
} from '../../../helpers/pickles.js';
import { tempFolder } from '../../../helpers/temp.js';

async function failure(bytes: Uint8Array, name = 'x.pt'): Promise<HpsError> {
  const path = join(tempFolder(), name);
  writeFileSync(path, bytes);
  try {
    (await openCheckpoint(path)).close();
  } catch (error) {
    return error as HpsError;
  }
  throw new Error('the file was read');
}

const repeat = (part: Buffer, times: number): Buffer => Buffer.alloc(part.byteLength * times, part);
const canary = join(process.cwd(), 'canary-of-the-pickle-tests');
const system = (module: string) =>
  Buffer.concat([op.global(module, 'system'), op.text(`touch ${canary}`), op.tuple1, op.reduce]);

describe('a hostile pickle is refused with exit 5', () => {
  // The numbers are positions in the list of hostile inputs the project keeps to.
  const cases: readonly [string, Buffer | (() => Buffer)][] = [
    ['1: os.system by GLOBAL', pickle(system('os'))],
    ['1: posix.system, as os.system is really pickled', pickle(system('posix'))],
    [
      '2: os.system by STACK_GLOBAL from the memo',
      pickle(
        op.text('os'),
        op.put(0),
        op.text('system'),
        op.put(1),
        op.get(0),
        op.get(1),
        op.stackGlobal,
        op.text('x'),
        op.tuple1,
        op.reduce,
      ),
    ],
    ['2: STACK_GLOBAL of numbers', pickle(op.int(1), op.int(2), op.stackGlobal)],
    ['3: builtins.getattr', pickle(op.global('builtins', 'getattr'))],
    ['3: a dotted attribute chain', pickle(op.global('builtins', 'print.__class__'))],
    ['3: an allowed name split elsewhere', pickle(op.global('torch', '_utils._rebuild_tensor_v2'))],
    ['3: an allowed name with a prototype key', pickle(op.global('torch', 'constructor'))],
    ['4: an alias of Python 2 for a function', pickle(op.global('__builtin__', 'eval'))],
    ['4: an allowed function in another module', pickle(op.global('copy_reg', '_rebuild_tensor_v2'))],
    ['4: _reconstructor', pickle(op.global('copy_reg', '_reconstructor'))],
    ['5: INST', pickle(op.mark, Buffer.from('ios\nsystem\n'))],
    ['5: OBJ', pickle(op.mark, op.none, Buffer.from('o'))],
    ['5: NEWOBJ_EX', pickle(op.none, op.none, op.none, Buffer.from([0x92]))],
    ['5: EXT1', pickle(Buffer.from([0x82, 1]))],
    ['5: EXT4', pickle(Buffer.from([0x84, 1, 0, 0, 0]))],
    ['6: BUILD on a storage', pickle(storage(), op.emptyDict, op.build)],
    ['8: SETITEMS on a storage', pickle(storage(), op.mark, op.int(0), op.int(1), op.setItems)],
    ['8: APPEND to a storage', pickle(storage(), op.int(0), op.append)],
    ['9: a storage longer than its record', pickle(tensor({ storage: storage({ numel: op.int(7) }) }))],
    ['9: a storage of 2^62 elements', pickle(tensor({ storage: storage({ numel: op.long(2n ** 62n) }) }))],
    ['9: a storage of -1 elements', pickle(tensor({ storage: storage({ numel: op.int(-1) }) }))],
    ['9: a storage without a record', pickle(tensor({ storage: storage({ key: '1' }) }))],
    ['9: a storage with a path for a key', pickle(tensor({ storage: storage({ key: '../data.pkl' }) }))],
    ['10: an offset beyond the storage', pickle(tensor({ offset: op.int(1) }))],
    ['10: a negative offset', pickle(tensor({ offset: op.int(-1) }))],
    ['10: a shape beyond the storage', pickle(tensor({ size: intTuple(3, 3) }))],
    ['10: a stride beyond the storage', pickle(tensor({ stride: intTuple(4, 1) }))],
    ['10: a negative stride', pickle(tensor({ stride: intTuple(-3, 1) }))],
    [
      '10: a stride that overflows',
      pickle(tensor({ stride: Buffer.concat([op.mark, op.long(2n ** 53n - 1n), op.long(2n ** 53n - 1n), op.tuple]) })),
    ],
    [
      '10: a shape whose product overflows',
      pickle(
        tensor({
          size: Buffer.concat([op.mark, op.long(2n ** 52n), op.long(2n ** 52n), op.tuple]),
          stride: intTuple(0, 0),
        }),
      ),
    ],
    ['10: fewer strides than dimensions', pickle(tensor({ stride: intTuple(1) }))],
    [
      '10: a rank of 65',
      pickle(tensor({ size: intTuple(...new Array(65).fill(1)), stride: intTuple(...new Array(65).fill(1)) })),
    ],
    [
      '10: a shape of floats',
      pickle(
        tensor({
          size: Buffer.concat([op.mark, Buffer.from('G'), Buffer.alloc(8, 0x3f), op.tuple]),
          stride: intTuple(1),
        }),
      ),
    ],
    [
      '10: six numbers expanded to terabytes',
      pickle(tensor({ size: intTuple(2 ** 30, 2 ** 10), stride: intTuple(0, 0) })),
    ],
    ['10: a tensor made of a dict', pickle(tensor({ storage: op.emptyDict }))],
    ['12: a persistent id of another kind', pickle(storage({ kind: 'file' }))],
    ['12: a persistent id that is text', pickle(op.text('0'), op.persistentId)],
    [
      '12: a persistent id of four items',
      pickle(
        op.mark,
        op.text('storage'),
        op.global('torch', 'FloatStorage'),
        op.text('0'),
        op.text('cpu'),
        op.tuple,
        op.persistentId,
      ),
    ],
    ['12: a storage type that is none', pickle(storage({ type: op.global('collections', 'OrderedDict') }))],
    ['12: a call of a storage type', pickle(op.global('torch', 'FloatStorage'), op.emptyTuple, op.reduce)],
    ['12: a call of text', pickle(op.text('x'), op.emptyTuple, op.reduce)],
    ['12: a call without a tuple', pickle(op.global('collections', 'OrderedDict'), op.none, op.reduce)],
    ['13: 10 MB of MARK', () => pickle(repeat(op.mark, 10_000_000))],
    ['13: two million opcodes', () => pickle(repeat(Buffer.concat([op.none, Buffer.from('0')]), 1_000_000))],
    ['14: DUP', pickle(op.none, Buffer.from('2'))],
    ['14: a bomb of recalls', () => pickle(op.emptyList, op.put(0), repeat(op.get(0), 1_000_000))],
    ['14: tuples nested 100,000 deep', () => pickle(op.none, repeat(op.tuple1, 100_000))],
    ['14: a list in itself', pickle(op.emptyList, op.put(0), op.get(0), op.append)],
    [
      '14: forty doublings of a list',
      pickle(
        op.none,
        ...Array.from({ length: 40 }, (_, i) => Buffer.concat([op.put(i), op.get(i), Buffer.from([0x86])])),
      ),
    ],
    ['15: LONG1 of 255 bytes', pickle(Buffer.from([0x8a, 255]), Buffer.alloc(255))],
    ['15: LONG4 of 2^31 - 1 bytes', pickle(Buffer.from([0x8b, 0xff, 0xff, 0xff, 0x7f]))],
    ['15: LONG4 of -1 bytes', pickle(Buffer.from([0x8b, 0xff, 0xff, 0xff, 0xff]))],
    ['15: BINUNICODE8 of 2^63 bytes', pickle(Buffer.from([0x8d, 0, 0, 0, 0, 0, 0, 0, 0x80]))],
    ['15: BINBYTES of 4 GB', pickle(Buffer.from([0x42, 0xff, 0xff, 0xff, 0xff]))],
    ['15: a GLOBAL of a name without an end', () => pickle(Buffer.from('c'), Buffer.alloc(1e6, 'a'))],
    ['16: no STOP', Buffer.concat([op.proto, op.none])],
    ['16: an empty stack', pickle(op.append)],
    ['16: nothing but STOP', pickle()],
    ['16: values left over', pickle(op.none, op.none)],
    ['16: a mark left over', pickle(op.mark, op.none)],
    ['16: a pop through a mark', pickle(op.none, op.mark, op.tuple1)],
    ['16: a mark never set', pickle(op.none, op.tuple)],
    ['16: a memo never written', pickle(op.get(3))],
    ['16: half a pair of items', pickle(op.emptyDict, op.mark, op.none, op.setItems)],
    ['17: two pickles in a row', Buffer.concat([pickle(op.none), pickle(op.none)])],
    ['17: bytes after STOP', Buffer.concat([pickle(op.none), Buffer.from('x')])],
    ['19: a key that is not UTF-8', pickle(op.emptyDict, op.text(Buffer.from([0xff])), op.none, op.setItem)],
    ['19: a surrogate', pickle(op.text(Buffer.from([0xed, 0xa0, 0x80])))],
    ['an unknown protocol', Buffer.concat([Buffer.from([0x80, 6]), op.none, op.stop])],
    [
      'two keys that read alike',
      pickle(op.emptyDict, op.text('0'), op.none, op.setItem, op.int(0), op.none, op.setItem),
    ],
  ];

  it.each(cases)('%s', async (_, made) => {
    const data = typeof made === 'function' ? made() : made;
    expect((await failure(await torchZipFile(data))).exitCode).toBe(5);
    expect(existsSync(canary)).toBe(false);
  });

  it.each(['os', 'posix', 'nt'])('names the function of %s that a bare or a legacy pickle asks for', async (module) => {
    const bare = await failure(pickle(system(module)));
    expect(bare.code).toBe('CHECKPOINT_UNSAFE');
    expect(bare.message).toContain(`${module}.system`);
    const legacy = await failure(torchLegacyFile(system(module), []));
    expect(legacy.code).toBe('CHECKPOINT_UNSAFE');
    expect(legacy.message).toContain(`${module}.system`);
    expect(existsSync(canary)).toBe(false);
  });

  it('18: says what a text pickle is', async () => {
    const error = await failure(Buffer.from(`cos\nsystem\n(S'touch ${canary}'\ntR.`));
    expect(error.code).toBe('CHECKPOINT_UNSAFE');
    expect(error.message).toContain('protocol 0 or 1');
    expect(existsSync(canary)).toBe(false);
  });

  it('18: says what a plain pickle is', async () => {
    expect((await failure(pickle(op.emptyDict))).code).toBe('CHECKPOINT_UNSUPPORTED');
  });

  it('shows no control characters of a name', async () => {
    const error = await failure(await torchZipFile(pickle(op.text('a\u001b[31mb'), op.text('c'), op.stackGlobal)));
    expect(error.message).not.toMatch(/\p{Cc}/u);
  });
});

describe('a pickle cannot reach the program that reads it', () => {
  it('6, 7: keeps __proto__, constructor and toString as plain keys', async () => {
    const path = join(tempFolder(), 'x.pt');
    const names = ['__proto__', 'constructor', 'toString'];
    const weights = dict(names.map((name) => [name, tensor()] as const));
    writeFileSync(path, await torchZipFile(pickle(weights, dict([['__proto__', dict([['x', op.int(1)]])]]), op.build)));
    const checkpoint = await openCheckpoint(path);
    expect([...checkpoint.tensors.keys()]).toEqual(names);
    expect(({} as { x?: unknown }).x).toBeUndefined();
    checkpoint.close();
  });

  it('12: ignores where a storage was', async () => {
    const path = join(tempFolder(), 'x.pt');
    writeFileSync(path, await torchZipFile(pickle(dict({ w: tensor({ storage: storage({ location: 'cuda:99' }) }) }))));
    const checkpoint = await openCheckpoint(path);
    expect(checkpoint.tensors.get('w')?.shape).toEqual([2, 3]);
    checkpoint.close();
  });
});

describe('unpickle', () => {
  const read = (...parts: Uint8Array[]) => unpickle(new ByteCursor(pickle(...parts), 'x'), new TorchVocabulary('x'));

  it.each([
    [0n, 1, 0],
    [-1n, 1, -1],
    [-(2n ** 40n), 8, -(2 ** 40)],
    [2n ** 31n, 5, 2 ** 31],
    [2n ** 53n - 1n, 8, 2 ** 53 - 1],
    [2n ** 62n, 8, 2n ** 62n],
    [-(2n ** 62n), 8, -(2n ** 62n)],
    [2n ** 70n, 9, 2n ** 70n],
  ] as const)('reads the integer %s exactly', (value, bytes, expected) => {
    expect(read(op.long(value, bytes))).toBe(expected);
  });

  it('reads an integer of no bytes as 0', () => {
    expect(read(Buffer.from([0x8a, 0]))).toBe(0);
  });

  it('survives any change of one byte of a state dict', () => {
    const bytes = pickle(dict({ weight: tensor(), bias: tensor({ size: intTuple(3), stride: intTuple(1) }) }));
    for (let at = 0; at < bytes.byteLength; at++) {
      for (const value of [0, 0x28, 0x52, 0x7f, 0xff]) {
        const spoiled = Buffer.from(bytes);
        spoiled[at] = value;
        try {
          unpickle(new ByteCursor(spoiled, 'x'), new TorchVocabulary('x'));
        } catch (error) {
          expect((error as HpsError).exitCode, `byte ${at} = ${value}: ${error}`).toBe(5);
        }
      }
    }
  });

  it('stops at the limit of opcodes, not after', () => {
    const nones = (count: number) => [op.mark, repeat(op.none, count), op.tuple];
    expect(() => read(...nones(LIMITS.pickleOpcodes - 5))).not.toThrow();
    expect(() => read(...nones(LIMITS.pickleOpcodes))).toThrow('opcodes');
  });
});
